#include <atomic>

#include "runtime/core/arena.h"
#include "runtime/sched/clock.h"
#include "runtime/sync/owners.h"
#include "runtime/sync/section.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

// pthread_once_t is one word: 0 new; kRunning | owner number; kDone | number of the batch it was
// done in, without the upper bits. Its version word is one for all, in tracked memory: only first
// uses are ordered operations.
constexpr uint32_t kRunning = 1U << 30;
constexpr uint32_t kDone = 2U << 30;

constinit uint32_t* g_version = nullptr;  // set once by init()

uint32_t done_now() {
  return kDone | (static_cast<uint32_t>(sched::batch_time().batch) & ~(3U << 30));
}
bool is_done(uint32_t word) { return (word & kDone) != 0; }

void complete(std::atomic_ref<uint32_t> word, uint64_t key) {
  if (sched::started()) {
    sched::Guard guard;
    // release: pairs with the acquire in once(); publishes what the routine wrote.
    word.store(done_now(), std::memory_order_release);
    sched::wake(key, UINT32_MAX);
  } else {
    word.store(done_now(), std::memory_order_release);
  }
}

}  // namespace

uint32_t once_owner(uint64_t key) {
  return *reinterpret_cast<const uint32_t*>(key) & ~(kRunning | kDone);
}

void init() { g_version = arena::create<uint32_t>(); }

int once(pthread_once_t* control, void (*routine)()) {
  std::atomic_ref word(*reinterpret_cast<uint32_t*>(control));
  const auto key = reinterpret_cast<uint64_t>(control);
  // Done in an earlier batch: every replica knows, nothing to order. Done in this one: whether a
  // thread finds it done depends on the schedule, so it asks in order.
  // acquire: pairs with the release in complete().
  const uint32_t seen = word.load(std::memory_order_acquire);
  if (is_done(seen) && (seen != done_now() || !sched::started())) return 0;
  const uint32_t mine = kRunning | self_number();
  {
    Section section(*g_version, sched::Tag::kOnce);
    for (;;) {
      const uint32_t now = word.load(std::memory_order_relaxed);
      if (is_done(now)) return 0;
      if (now == 0 || now == mine) break;
      // The end of the routine is not ordered: one replica waits where another finds it done. So
      // the waiting may leave no trace in the log.
      section.park(wire::WaitKind::kOnce, "once", key, kForEver);
      section.enter_unordered();
    }
    word.store(mine, std::memory_order_relaxed);
  }
  routine();
  complete(word, key);
  return 0;
}

}  // namespace evenkeel::sync
