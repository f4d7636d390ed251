#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/sync/section.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

using sched::Tag;

// In place in pthread_barrier_t.
struct Barrier {
  uint32_t count;
  uint32_t arrived;
  uint32_t version;
  uint32_t round;
  uint64_t zero[2];
};
static_assert(sizeof(Barrier) == sizeof(pthread_barrier_t));

Barrier& at(pthread_barrier_t* barrier) { return *reinterpret_cast<Barrier*>(barrier); }

}  // namespace

int barrier_init(pthread_barrier_t* barrier, const pthread_barrierattr_t*, unsigned count) {
  if (count == 0 || count > INT_MAX) return EINVAL;
  std::memset(barrier, 0, sizeof *barrier);
  at(barrier).count = count;
  return 0;
}

int barrier_destroy(pthread_barrier_t*) { return 0; }

int barrier_wait(pthread_barrier_t* barrier) {
  Barrier& b = at(barrier);
  const auto key = reinterpret_cast<uint64_t>(&b);
  Section section(b.version, Tag::kBarrier);
  if (++b.arrived == b.count) {
    b.arrived = 0;
    ++b.round;
    if (sched::started()) sched::wake(key, UINT32_MAX);
    return PTHREAD_BARRIER_SERIAL_THREAD;
  }
  const uint32_t round = b.round;
  // Once woken by the last one, a waiter must not look at the barrier: it may be destroyed.
  while (section.park(wire::WaitKind::kBarrier, "barrier", key, kForEver) != sched::Wake::kWoken) {
    section.enter_unordered();  // a signal; this thread has arrived already
    if (b.round != round) break;
  }
  return 0;
}

}  // namespace evenkeel::sync
