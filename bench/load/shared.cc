// All connections use the same few keys. Values must be whole and by a writer of that key; answers
// to increments must all be different, and a counter must end at the number of its increments.
#include "bench/load/pattern.h"
#include "bench/load/workload.h"

namespace evenkeel::load {
namespace {

constexpr uint32_t kConnectionBits = 12;
constexpr uint32_t kMaxSharedKeys = 1 << (kTagBits - kConnectionBits);

class SharedKeys : public Workload {
 public:
  explicit SharedKeys(const Options& options);
  uint64_t count(Phase phase, uint32_t connection) const override;
  Pending issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) override;
  void check(uint32_t connection, const Pending& pending, const Reply& reply) override;
  void finish() override;

 private:
  struct Counter {
    uint64_t acknowledged = 0;
    std::vector<bool> seen;  // by answer
  };

  Pending issue_set(uint32_t connection, uint32_t key, std::string& out);
  Pending issue_zero(uint32_t counter, std::string& out);
  Pending issue_get(const std::string& name, uint32_t key, std::string& out);
  void check_get(const Pending& pending, const Reply& reply);
  void check_counter_value(uint32_t counter, const Reply& reply);
  void check_increment(uint32_t counter, const Reply& reply);
  bool is_ours(uint32_t key, const ValueView& value) const;

  std::vector<std::string> key_names_;
  std::vector<std::string> counter_names_;
  std::vector<Counter> counters_;
  std::vector<uint32_t> sets_;  // issued, by connection: the version of its next value
};

// Keys at and above this number in Pending are counters.
constexpr uint32_t kCounterBase = 1u << 31;

SharedKeys::SharedKeys(const Options& options)
    : Workload(options), counters_(options.counters), sets_(options.connections) {
  for (uint32_t i = 0; i < std::min(options.keys, kMaxSharedKeys); ++i) {
    key_names_.push_back("s" + std::to_string(i));
  }
  // An earlier run preloaded, as connection 0.
  if (options.preload == Preload::kNo) sets_[0] = static_cast<uint32_t>(key_names_.size());
  for (uint32_t i = 0; i < options.counters; ++i) {
    counter_names_.push_back("hot" + std::to_string(i));
  }
}

// Connection 0 prepares and reads back for all.
uint64_t SharedKeys::count(Phase phase, uint32_t connection) const {
  if (phase == Phase::kMain) return share_of_requests(connection);
  return connection == 0 ? key_names_.size() + counter_names_.size() : 0;
}

Pending SharedKeys::issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) {
  const auto keys = static_cast<uint32_t>(key_names_.size());
  if (phase != Phase::kMain) {
    const auto key = static_cast<uint32_t>(index);
    const bool is_counter = key >= keys;
    if (phase == Phase::kPreload) {
      return is_counter ? issue_zero(key - keys, out) : issue_set(connection, key, out);
    }
    return is_counter ? issue_get(counter_names_[key - keys], kCounterBase + key - keys, out)
                      : issue_get(key_names_[key], key, out);
  }
  Random& random = random_[connection];
  const double what = random.fraction();
  const uint32_t key = random.below(keys);
  if (what < options_.write_fraction) return issue_set(connection, key, out);
  if (what < options_.write_fraction + options_.increment_fraction) {
    const uint32_t counter = random.below(options_.counters);
    out.append("incr ").append(counter_names_[counter]).append(" 1\r\n");
    return {.op = Op::kIncrement, .key = counter, .expected = 0, .sent_ns = 0};
  }
  return issue_get(key_names_[key], key, out);
}

Pending SharedKeys::issue_set(uint32_t connection, uint32_t key, std::string& out) {
  append_store_line(out, "set", key_names_[key], key, options_.value_bytes);
  append_pattern(out, {key << kConnectionBits | connection, sets_[connection]++},
                 options_.value_bytes);
  out.append("\r\n");
  return {.op = Op::kSet, .key = key, .expected = 0, .sent_ns = 0};
}

Pending SharedKeys::issue_zero(uint32_t counter, std::string& out) {
  append_store_line(out, "set", counter_names_[counter], 0, 1);
  out.append("0\r\n");
  return {.op = Op::kSet, .key = kCounterBase + counter, .expected = 0, .sent_ns = 0};
}

Pending SharedKeys::issue_get(const std::string& name, uint32_t key, std::string& out) {
  out.append("get ").append(name).append("\r\n");
  return {.op = Op::kGet, .key = key, .expected = 0, .sent_ns = 0};
}

void SharedKeys::check(uint32_t, const Pending& pending, const Reply& reply) {
  if (is_server_error(reply)) return;
  if (pending.op == Op::kGet) {
    if (pending.key < kCounterBase) return check_get(pending, reply);
    return check_counter_value(pending.key - kCounterBase, reply);
  }
  if (pending.op == Op::kIncrement) return check_increment(pending.key, reply);
  expect_line(reply, "a set", "STORED");
}

bool SharedKeys::is_ours(uint32_t key, const ValueView& value) const {
  if (value.key != key_names_[key] || value.flags != key) return false;
  if (value.data.size() != options_.value_bytes) return false;
  const auto stamp = read_pattern(value.data);
  if (!stamp || stamp->tag >> kConnectionBits != key) return false;
  const uint32_t writer = stamp->tag & ((1u << kConnectionBits) - 1);
  return writer < sets_.size() && stamp->version < sets_[writer];
}

void SharedKeys::check_get(const Pending& pending, const Reply& reply) {
  const std::string& name = key_names_[pending.key];
  if (reply.malformed || reply.line != "END" || reply.values.size() != 1) {
    report_wrong("get", name, "one value", reply.line);
  } else if (!is_ours(pending.key, reply.values[0])) {
    report_wrong("get", name, "a whole value", reply.values[0].data);
  }
}

void SharedKeys::check_counter_value(uint32_t counter, const Reply& reply) {
  const std::string wanted = std::to_string(counters_[counter].acknowledged);
  const std::string_view got = reply.values.size() == 1 ? reply.values[0].data : reply.line;
  if (got != wanted) report_wrong("final value of", counter_names_[counter], wanted, got);
}

void SharedKeys::check_increment(uint32_t counter, const Reply& reply) {
  const std::string& name = counter_names_[counter];
  uint64_t answer = 0;
  if (!reply.values.empty() || !parse_number(reply.line, answer)) {
    return report_wrong("incr", name, "a number", reply.line);
  }
  Counter& state = counters_[counter];
  ++state.acknowledged;
  // Beyond all requests of the run: finish() could not have expected it anyway.
  if (answer == 0 || answer > options_.requests) {
    return report_wrong("incr", name, "a number in range", reply.line);
  }
  if (state.seen.size() <= answer) state.seen.resize(answer + 1 + answer / 2);
  if (state.seen[answer]) report_wrong("incr", name, "a new number", reply.line);
  state.seen[answer] = true;
}

// Answers were all different and one per acknowledgement: they are 1..n unless one lies beyond n.
void SharedKeys::finish() {
  for (uint32_t i = 0; i < counters_.size(); ++i) {
    const Counter& counter = counters_[i];
    for (uint64_t n = counter.acknowledged + 1; n < counter.seen.size(); ++n) {
      if (!counter.seen[n]) continue;
      report_wrong("incr", counter_names_[i], "at most " + std::to_string(counter.acknowledged),
                   std::to_string(n));
    }
  }
}

}  // namespace

std::unique_ptr<Workload> make_shared_keys(const Options& options) {
  return std::make_unique<SharedKeys>(options);
}

}  // namespace evenkeel::load
