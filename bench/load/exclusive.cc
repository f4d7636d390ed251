// Every connection has its own keys: each answer is known when the request is sent.
#include "bench/load/pattern.h"
#include "bench/load/workload.h"

namespace evenkeel::load {
namespace {

constexpr uint32_t kAbsent = UINT32_MAX;

class Exclusive : public Workload {
 public:
  explicit Exclusive(const Options& options);
  uint64_t count(Phase phase, uint32_t connection) const override;
  Pending issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) override;
  void check(uint32_t connection, const Pending& pending, const Reply& reply) override;

 private:
  struct Key {
    std::string name;
    uint32_t version = 0;
  };
  struct Counter {
    std::string name;
    uint64_t value = 0;
  };

  Pending issue_preload(uint32_t connection, uint64_t index, std::string& out);
  Pending issue_main(uint32_t connection, std::string& out);
  Pending issue_get(uint32_t first, uint32_t keys, std::string& out);
  Pending issue_set(uint32_t key, std::string& out);
  Pending issue_delete(uint32_t key, std::string& out);
  Pending issue_increment(uint32_t connection, uint64_t delta, std::string& out);
  void check_get(const Pending& pending, const Reply& reply);
  void check_value(uint32_t key, uint32_t version, const Reply& reply, size_t& next);

  std::vector<Key> keys_;          // connection c owns [c * keys, (c + 1) * keys)
  std::vector<Counter> counters_;  // one per connection
  // What the keys of a get with several keys held when it was sent.
  std::vector<std::vector<uint32_t>> held_;
  std::vector<uint32_t> free_held_;
};

Exclusive::Exclusive(const Options& options) : Workload(options) {
  keys_.resize(size_t{options.connections} * options.keys);
  for (size_t i = 0; i < keys_.size(); ++i) {
    keys_[i].name = "k" + std::to_string(i / options.keys) + ":" + std::to_string(i % options.keys);
  }
  counters_.resize(options.connections);
  for (size_t i = 0; i < counters_.size(); ++i) counters_[i].name = "n" + std::to_string(i);
}

uint64_t Exclusive::count(Phase phase, uint32_t connection) const {
  return phase == Phase::kMain ? share_of_requests(connection) : options_.keys + 1;
}

Pending Exclusive::issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) {
  if (phase == Phase::kMain) return issue_main(connection, out);
  if (phase == Phase::kPreload) return issue_preload(connection, index, out);
  if (index == options_.keys) return issue_increment(connection, 0, out);
  return issue_get(connection * options_.keys + static_cast<uint32_t>(index), 1, out);
}

Pending Exclusive::issue_preload(uint32_t connection, uint64_t index, std::string& out) {
  if (index == options_.keys) {
    append_store_line(out, "set", counters_[connection].name, 0, 1);
    out.append("0\r\n");
    return {.op = Op::kSet, .key = connection * options_.keys, .expected = 0, .sent_ns = 0};
  }
  const uint32_t key = connection * options_.keys + static_cast<uint32_t>(index);
  keys_[key].version = kAbsent;  // so that issue_set() makes it 0
  return issue_set(key, out);
}

Pending Exclusive::issue_main(uint32_t connection, std::string& out) {
  Random& random = random_[connection];
  const double what = random.fraction();
  double bound = options_.write_fraction;
  const uint32_t index = random.below(options_.keys);
  const uint32_t key = connection * options_.keys + index;
  if (what < bound) return issue_set(key, out);
  if (what < (bound += options_.delete_fraction)) return issue_delete(key, out);
  if (what < bound + options_.increment_fraction) return issue_increment(connection, 1, out);
  return issue_get(connection * options_.keys + std::min(index, options_.keys - options_.get_keys),
                   options_.get_keys, out);
}

Pending Exclusive::issue_get(uint32_t first, uint32_t keys, std::string& out) {
  Pending pending{.op = Op::kGet, .key = first, .expected = keys_[first].version, .sent_ns = 0};
  out.append("get");
  for (uint32_t key = first; key < first + keys; ++key) out.append(" ").append(keys_[key].name);
  out.append("\r\n");
  if (keys == 1) return pending;
  if (free_held_.empty()) {
    free_held_.push_back(static_cast<uint32_t>(held_.size()));
    held_.emplace_back();
  }
  pending.key_count = static_cast<uint8_t>(keys);
  pending.expected = free_held_.back();
  free_held_.pop_back();
  std::vector<uint32_t>& held = held_[pending.expected];
  held.clear();
  for (uint32_t key = first; key < first + keys; ++key) held.push_back(keys_[key].version);
  return pending;
}

Pending Exclusive::issue_set(uint32_t key, std::string& out) {
  // A deleted key goes on from version 0: the value read after that is unambiguous, because the
  // answers of one connection have one order.
  Key& entry = keys_[key];
  entry.version = entry.version == kAbsent ? 0 : entry.version + 1;
  append_store_line(out, "set", entry.name, entry.version, options_.value_bytes);
  append_pattern(out, {key, entry.version}, options_.value_bytes);
  out.append("\r\n");
  return {.op = Op::kSet, .key = key, .expected = 0, .sent_ns = 0};
}

Pending Exclusive::issue_delete(uint32_t key, std::string& out) {
  const bool present = keys_[key].version != kAbsent;
  keys_[key].version = kAbsent;
  out.append("delete ").append(keys_[key].name).append("\r\n");
  return {.op = Op::kDelete, .key = key, .expected = present ? 1u : 0u, .sent_ns = 0};
}

Pending Exclusive::issue_increment(uint32_t connection, uint64_t delta, std::string& out) {
  Counter& counter = counters_[connection];
  counter.value += delta;
  out.append("incr ").append(counter.name).append(" ");
  append_number(out, delta);
  out.append("\r\n");
  return {.op = Op::kIncrement, .key = connection, .expected = counter.value, .sent_ns = 0};
}

void Exclusive::check(uint32_t, const Pending& pending, const Reply& reply) {
  if (is_server_error(reply)) return;
  switch (pending.op) {
    case Op::kGet:
      return check_get(pending, reply);
    case Op::kDelete:
      return expect_line(reply, keys_[pending.key].name,
                         pending.expected != 0 ? "DELETED" : "NOT_FOUND");
    case Op::kIncrement:
      return expect_line(reply, counters_[pending.key].name, std::to_string(pending.expected));
    default:
      return expect_line(reply, keys_[pending.key].name, "STORED");
  }
}

void Exclusive::check_get(const Pending& pending, const Reply& reply) {
  if (reply.malformed || reply.line != "END") {
    report_wrong("get", keys_[pending.key].name, "END", reply.line);
    return;
  }
  size_t next = 0;
  if (pending.key_count == 1) {
    check_value(pending.key, static_cast<uint32_t>(pending.expected), reply, next);
  } else {
    const std::vector<uint32_t>& held = held_[pending.expected];
    for (uint32_t i = 0; i < pending.key_count; ++i) {
      check_value(pending.key + i, held[i], reply, next);
    }
    free_held_.push_back(static_cast<uint32_t>(pending.expected));
  }
  if (next != reply.values.size()) {
    report_wrong("get", keys_[pending.key].name, "no further value", reply.values[next].key);
  }
}

// Values come in the order of the keys; what is absent is left out.
void Exclusive::check_value(uint32_t key, uint32_t version, const Reply& reply, size_t& next) {
  const std::string& name = keys_[key].name;
  const bool found = next < reply.values.size() && reply.values[next].key == name;
  if (version == kAbsent) {
    if (found) report_wrong("get", name, "no value", reply.values[next++].data);
    return;
  }
  if (!found) return report_wrong("get", name, "a value", "none");
  const ValueView& value = reply.values[next++];
  if (value.flags == version && value.data.size() == options_.value_bytes &&
      is_pattern(value.data, {key, version})) {
    return;
  }
  std::string wanted;
  append_pattern(wanted, {key, version}, std::min(options_.value_bytes, 256u));
  report_wrong("get", name, wanted, value.data);
}

}  // namespace

std::unique_ptr<Workload> make_exclusive(const Options& options) {
  return std::make_unique<Exclusive>(options);
}

}  // namespace evenkeel::load
