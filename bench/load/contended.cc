// Pipelines of set, get, delete, append, add and flush_all on a few hot keys. Each answer must be a
// legal one for its command. A value must be a row of whole pieces, each one really sent for that
// key, and those of one connection in the order in which it sent them.
#include "bench/load/pattern.h"
#include "bench/load/workload.h"

namespace evenkeel::load {
namespace {

constexpr uint32_t kConnectionBits = 12;
constexpr size_t kMinPieceBytes = kBlockBytes + 2;

class Contended : public Workload {
 public:
  explicit Contended(const Options& options);
  uint64_t count(Phase phase, uint32_t connection) const override;
  Pending issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) override;
  void check(uint32_t connection, const Pending& pending, const Reply& reply) override;

 private:
  void append_piece(uint32_t connection, uint32_t key, std::string& out);
  Pending issue_store(Op op, const char* command, uint32_t connection, uint32_t key,
                      std::string& out);
  Pending issue_line(Op op, const char* command, uint32_t key, std::string& out);
  void check_get(uint32_t key, const Reply& reply);
  bool is_row_of_pieces(uint32_t key, std::string_view data);

  size_t piece_bytes_;
  std::vector<std::string> names_;
  std::vector<uint32_t> pieces_;  // issued, by connection
  std::vector<int64_t> newest_;   // scratch: the newest piece seen in a value, by connection
};

Contended::Contended(const Options& options)
    : Workload(options),
      piece_bytes_(std::max<size_t>(options.value_bytes, kMinPieceBytes)),
      pieces_(options.connections),
      newest_(options.connections) {
  for (uint32_t i = 0; i < options.keys; ++i) names_.push_back("hot" + std::to_string(i));
}

uint64_t Contended::count(Phase phase, uint32_t connection) const {
  if (phase == Phase::kMain) return share_of_requests(connection);
  return connection == 0 ? names_.size() : 0;
}

// Out of 100: 30 set, 40 get, 10 delete, 10 append, 9 add, 1 flush_all.
Pending Contended::issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) {
  if (phase == Phase::kPreload) {  // what an earlier run left is not ours
    return issue_line(Op::kDelete, "delete", static_cast<uint32_t>(index), out);
  }
  if (phase == Phase::kSweep) {
    return issue_line(Op::kGet, "get", static_cast<uint32_t>(index), out);
  }
  Random& random = random_[connection];
  const uint32_t key = random.below(static_cast<uint32_t>(names_.size()));
  const uint32_t what = random.below(100);
  if (what < 30) return issue_store(Op::kSet, "set", connection, key, out);
  if (what < 70) return issue_line(Op::kGet, "get", key, out);
  if (what < 80) return issue_line(Op::kDelete, "delete", key, out);
  if (what < 90) return issue_store(Op::kAppend, "append", connection, key, out);
  if (what < 99) return issue_store(Op::kAdd, "add", connection, key, out);
  out.append("flush_all\r\n");
  return {.op = Op::kFlush, .key = key, .expected = 0, .sent_ns = 0};
}

void Contended::append_piece(uint32_t connection, uint32_t key, std::string& out) {
  out.append("<");
  append_pattern(out, {key << kConnectionBits | connection, pieces_[connection]++},
                 piece_bytes_ - 2);
  out.append(">");
}

Pending Contended::issue_store(Op op, const char* command, uint32_t connection, uint32_t key,
                               std::string& out) {
  append_store_line(out, command, names_[key], key, piece_bytes_);
  append_piece(connection, key, out);
  out.append("\r\n");
  return {.op = op, .key = key, .expected = 0, .sent_ns = 0};
}

Pending Contended::issue_line(Op op, const char* command, uint32_t key, std::string& out) {
  out.append(command).append(" ").append(names_[key]).append("\r\n");
  return {.op = op, .key = key, .expected = 0, .sent_ns = 0};
}

void Contended::check(uint32_t, const Pending& pending, const Reply& reply) {
  if (is_server_error(reply)) return;
  const std::string& name = names_[pending.key];
  switch (pending.op) {
    case Op::kGet:
      return check_get(pending.key, reply);
    case Op::kDelete:
      return expect_line(reply, name, "DELETED", "NOT_FOUND");
    case Op::kAppend:
    case Op::kAdd:
      return expect_line(reply, name, "STORED", "NOT_STORED");
    case Op::kFlush:
      return expect_line(reply, "flush_all", "OK");
    default:
      return expect_line(reply, name, "STORED");
  }
}

void Contended::check_get(uint32_t key, const Reply& reply) {
  if (reply.malformed || reply.line != "END" || reply.values.size() > 1) {
    report_wrong("get", names_[key], "at most one value and END", reply.line);
  } else if (reply.values.size() == 1) {
    const ValueView& value = reply.values[0];
    if (value.key != names_[key] || value.flags != key || !is_row_of_pieces(key, value.data)) {
      report_wrong("get", names_[key], "whole pieces", value.data);
    }
  }
}

bool Contended::is_row_of_pieces(uint32_t key, std::string_view data) {
  if (data.empty() || data.size() % piece_bytes_ != 0) return false;
  std::fill(newest_.begin(), newest_.end(), -1);
  for (; !data.empty(); data.remove_prefix(piece_bytes_)) {
    if (data[0] != '<' || data[piece_bytes_ - 1] != '>') return false;
    const auto stamp = read_pattern(data.substr(1, piece_bytes_ - 2));
    if (!stamp || stamp->tag >> kConnectionBits != key) return false;
    const uint32_t writer = stamp->tag & ((1u << kConnectionBits) - 1);
    if (writer >= pieces_.size() || stamp->version >= pieces_[writer]) return false;
    if (int64_t{stamp->version} <= newest_[writer]) return false;
    newest_[writer] = stamp->version;
  }
  return true;
}

}  // namespace

std::unique_ptr<Workload> make_contended(const Options& options) {
  return std::make_unique<Contended>(options);
}

}  // namespace evenkeel::load
