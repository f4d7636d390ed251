#include "runtime/guard/guard.h"

#include "runtime/guard/scan.h"

namespace evenkeel::guard {
namespace {

// Distinct interleavings of an execution that are told apart; more are looked up each time.
constexpr uint32_t kMaxSeen = 1024;
constexpr uint32_t kSeenSlots = 4 * kMaxSeen;

struct Seen {
  uint64_t key;
  uint32_t round;
};

struct State {
  wire::Deck* deck;
  wire::GuardResult* result;
  uint32_t replica;
  uint32_t round;  // of `seen`: one per execution
  uint32_t seen_count;
  Seen seen[kSeenSlots];
};
constinit State g{};

// True at the first sight of a key in this execution.
bool first_sight(uint64_t key) {
  auto slot = static_cast<uint32_t>(key) % kSeenSlots;
  while (g.seen[slot].round == g.round) {
    if (g.seen[slot].key == key) return false;
    slot = (slot + 1) % kSeenSlots;
  }
  if (g.seen_count == kMaxSeen) return true;
  ++g.seen_count;
  g.seen[slot] = {key, g.round};
  return true;
}

wire::CallSite site_of(const sched::Acquisition& a) { return {a.code, a.depth}; }

void visit(void*, const Found& found) {
  const wire::CallSite before = site_of(found.before);
  const wire::CallSite between = site_of(found.between);
  const wire::CallSite after = site_of(found.after);
  const uint64_t key = wire::interleaving_key(before, between, after);
  if (!first_sight(key)) return;
  wire::GuardResult& result = *g.result;
  if (wire::is_learnt(g.deck->learnt, key)) {
    const uint32_t at = result.learnt++;
    if (at < wire::kMaxInterleavings) result.learnt_key[at] = key;
    return;
  }
  const uint32_t at = result.suspects++;
  if (at >= wire::kMaxInterleavings) return;
  result.suspect[at] = {
      key, before, between, after, found.after.lock, found.after.input, found.between.input};
}

}  // namespace

void init(wire::Deck& deck, uint32_t replica, uint32_t carriers) {
  g.deck = &deck;
  g.result = &deck.replicas[replica].guard;
  g.replica = replica;
  if (deck.boot.guard != wire::Guard::kOff) sched::init_acquisitions(carriers);
}

void begin() {
  const wire::Command& command = g.deck->command;
  ++g.round;
  g.seen_count = 0;
  g.result->suspects = g.result->unchecked_groups = g.result->learnt = 0;
  sched::watch_acquisitions(command.sequential == 0 && command.primary == g.replica);
}

void end_group() {
  if (!sched::watching()) return;
  const sched::AcquisitionLog* logs[sched::kMaxCarriers];
  const uint32_t count = sched::acquisition_logs();
  for (uint32_t i = 0; i < count; ++i) logs[i] = &sched::acquisition_log(i);
  if (!scan(logs, count, visit, nullptr)) ++g.result->unchecked_groups;
  sched::clear_acquisitions();
}

}  // namespace evenkeel::guard
