#include "runtime/sched/lock.h"

#include <atomic>

#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::sched {
namespace {

// 0 free, 1 held, 2 held and somebody sleeps. Drepper, "Futexes Are Tricky", mutex 3.
constinit std::atomic<uint32_t> g_word = 0;
constinit std::atomic<const Carrier*> g_owner = nullptr;

// A section lasts well under a microsecond: spin for about that long before sleeping, which helps
// only when the holder lost its processor.
constexpr int kSpins = 200;

[[gnu::noinline]] void lock_slowly() {
  for (int i = 0; i < kSpins; ++i) {
    uint32_t expected = 0;
    if (g_word.load(std::memory_order_relaxed) == 0 &&
        g_word.compare_exchange_weak(expected, 1, std::memory_order_acquire)) {
      return;
    }
    __builtin_ia32_pause();
  }
  while (g_word.exchange(2, std::memory_order_acquire) != 0) {
    sys::futex_wait(g_word, 2).ignore();  // EAGAIN and EINTR: look again
  }
}

}  // namespace

void lock() {
  uint32_t expected = 0;
  if (!g_word.compare_exchange_strong(expected, 1, std::memory_order_acquire)) lock_slowly();
  g_owner.store(&carrier(), std::memory_order_relaxed);
}

void unlock() {
  const uint32_t wakeups = take_wakeups();
  g_owner.store(nullptr, std::memory_order_relaxed);
  if (g_word.exchange(0, std::memory_order_release) == 2) sys::futex_wake(g_word, 1).ignore();
  if (wakeups != 0) [[unlikely]]
    call_idle_carriers(wakeups);
}

bool lock_held_by_this_carrier() {
  // Relaxed: only this carrier stores its own address, and clears it before it releases.
  return g_owner.load(std::memory_order_relaxed) == &carrier();
}

}  // namespace evenkeel::sched
