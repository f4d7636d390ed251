#include "runtime/guard/scan.h"

#include <algorithm>
#include <bit>

namespace evenkeel::guard {
namespace {

using sched::Acquisition;

constexpr uint32_t kVersionMask = 0xff'ffff;
constexpr uint32_t kVersionHalf = 0x80'0000;
constexpr uint32_t kNone = UINT32_MAX;

struct Lock {
  uint64_t address;
  uint32_t round;  // of the scan that filled it: tables are never cleared
  uint32_t count;
  uint32_t start;  // in g.order, once placed
  uint32_t thread;
  bool several_threads;
};

// Where the current lock's acquisitions by an input were last seen, as indices into g.order.
struct Last {
  wire::Channel input;
  uint32_t round;
  uint32_t any;
  uint32_t exclusive;
};

// Tables of twice the most keys: linear probing stays short. A small group uses a small prefix.
constexpr uint32_t kTableSlots = 2 * kMaxScanned;

struct Space {
  uint32_t mask;        // of the prefix in use
  uint32_t round;       // of `locks`
  uint32_t last_round;  // of `last`: one per lock
  uint32_t total;
  uint32_t touched_count;
  uint32_t steps;
  Visit visit;
  void* context;
  Lock locks[kTableSlots];
  Last last[kTableSlots];
  uint32_t touched[kMaxScanned];  // slots of `locks`
  uint32_t lock_of[kMaxScanned];  // slot of each acquisition's lock, in the order of the logs
  const Acquisition* order[kMaxScanned];
};
constinit Space g{};

uint32_t hash(uint64_t key) { return static_cast<uint32_t>((key * 0x9e3779b97f4a7c15) >> 32); }

uint32_t slot_of_lock(uint64_t address) {
  uint32_t slot = hash(address) & g.mask;
  while (g.locks[slot].round == g.round && g.locks[slot].address != address) {
    slot = (slot + 1) & g.mask;
  }
  return slot;
}

void count(const Acquisition& a) {
  const uint32_t slot = slot_of_lock(a.lock);
  Lock& lock = g.locks[slot];
  if (lock.round != g.round) {
    lock = {a.lock, g.round, 0, 0, a.thread, false};
    g.touched[g.touched_count++] = slot;
  }
  ++lock.count;
  if (lock.thread != a.thread) lock.several_threads = true;
  g.lock_of[g.total++] = slot;
}

// Where one thread alone took a lock, nothing came between. Returns how many are left.
uint32_t reserve_places() {
  uint32_t used = 0;
  for (uint32_t i = 0; i < g.touched_count; ++i) {
    Lock& lock = g.locks[g.touched[i]];
    if (!lock.several_threads) lock.count = 0;
    lock.start = used;
    used += lock.count;
    lock.count = lock.count < 3 ? 0 : lock.count;  // A, B, A
  }
  return used;
}

template <typename Use>
void for_each(const sched::AcquisitionLog* const* logs, uint32_t log_count, Use use) {
  for (uint32_t i = 0; i < log_count; ++i) {
    for (uint32_t k = 0; k < logs[i]->count; ++k) use(logs[i]->records[k]);
  }
}

void sort_by_version(const Acquisition** first, uint32_t count) {
  const uint32_t base = first[0]->version - kVersionHalf;  // the order must not see the wrap
  const auto key = [base](const Acquisition* a) { return (a->version - base) & kVersionMask; };
  const auto before = [key](const Acquisition* a, const Acquisition* b) { return key(a) < key(b); };
  if (!std::is_sorted(first, first + count, before)) std::sort(first, first + count, before);
}

Last& last_of(wire::Channel input) {
  uint32_t slot = hash(input) & g.mask;
  while (g.last[slot].round == g.last_round && g.last[slot].input != input) {
    slot = (slot + 1) & g.mask;
  }
  Last& last = g.last[slot];
  if (last.round != g.last_round) last = {input, g.last_round, kNone, kNone};
  return last;
}

// Visits what others did between two acquisitions of one input: writers or readers only.
void look_between(uint32_t before, uint32_t after, bool readers) {
  const Acquisition& a = *g.order[before];
  const Acquisition& c = *g.order[after];
  for (uint32_t i = before + 1; i < after && g.steps < kMaxWindowSteps; ++i, ++g.steps) {
    const Acquisition& b = *g.order[i];
    if (b.thread == c.thread || b.thread == a.thread || (b.shared != 0) != readers) continue;
    g.visit(g.context, {a, b, c});
  }
}

// Between any two a writer conflicts with both; a reader only with a writer on each side.
void scan_lock(uint32_t start, uint32_t count) {
  sort_by_version(g.order + start, count);
  ++g.last_round;
  for (uint32_t i = start; i < start + count; ++i) {
    const Acquisition& a = *g.order[i];
    Last& last = last_of(a.input);
    if (last.any != kNone && last.any + 1 < i) look_between(last.any, i, false);
    if (a.shared == 0) {
      if (last.exclusive != kNone && last.exclusive + 1 < i) look_between(last.exclusive, i, true);
      last.exclusive = i;
    }
    last.any = i;
  }
}

}  // namespace

bool scan(const sched::AcquisitionLog* const* logs, uint32_t log_count, Visit visit,
          void* context) {
  uint32_t total = 0;
  bool complete = true;
  for (uint32_t i = 0; i < log_count; ++i) {
    total += logs[i]->count;
    complete = complete && !logs[i]->full;
  }
  if (total > kMaxScanned) return false;
  if (total < 3) return complete;
  g.mask = std::bit_ceil(2 * total) - 1;
  ++g.round;
  g.total = g.touched_count = g.steps = 0;
  g.visit = visit;
  g.context = context;
  for_each(logs, log_count, count);
  if (reserve_places() == 0) return complete;
  uint32_t at = 0;
  for_each(logs, log_count, [&](const Acquisition& a) {
    Lock& lock = g.locks[g.lock_of[at++]];
    if (lock.count != 0) g.order[lock.start++] = &a;
  });
  for (uint32_t i = 0; i < g.touched_count; ++i) {
    const Lock& lock = g.locks[g.touched[i]];
    if (lock.count != 0) scan_lock(lock.start - lock.count, lock.count);
  }
  return complete && g.steps < kMaxWindowSteps;
}

}  // namespace evenkeel::guard
