#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/sched/acquisitions.h"
#include "runtime/sync/mutex.h"
#include "runtime/sync/section.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

using sched::Tag;

// In place in pthread_cond_t. Who waits is known to the scheduler.
struct Condition {
  uint32_t version;
  uint32_t clock;  // CLOCK_REALTIME (0) or CLOCK_MONOTONIC (1): of timed waits
  uint8_t zero[40];
};
static_assert(sizeof(Condition) == sizeof(pthread_cond_t));

Condition& at(pthread_cond_t* cond) { return *reinterpret_cast<Condition*>(cond); }
uint64_t key_of(const Condition& cond) { return reinterpret_cast<uint64_t>(&cond); }

// Waiter and mutex change hands in one section of the kernel lock, so no signal falls between.
int wait_until(Condition& cond, pthread_mutex_t* mutex, Deadline deadline) {
  if (const int error = may_unlock(mutex)) return error;
  sched::end_input();  // what comes next is somebody's who signals
  auto wake = sched::Wake::kTimeout;
  {
    Section section(cond.version, Tag::kCondition);
    if (!sched::started() || !deadline.may_wait()) {
      if (deadline.for_ever()) block_alone("condition", key_of(cond));
      unlock_locked(mutex);
      static_cast<void>(refuse(section, 0));
    } else {
      sched::enqueue_waiter(sched::self(), key_of(cond), deadline.monotonic_ns);
      sched::describe_wait(sched::self(), wire::WaitKind::kCondition);
      unlock_locked(mutex);
      wake = section.suspend();
    }
  }
  // A signal (Wake::kSignal) makes it a spurious wake-up, which every caller must expect.
  if (const int error = mutex_lock(mutex)) return error;
  return wake == sched::Wake::kTimeout ? ETIMEDOUT : 0;
}

int wait_until(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
               const timespec* deadline) {
  if (!valid_time(*deadline)) return EINVAL;
  return wait_until(at(cond), mutex, deadline_at(clock, *deadline));
}

void wake_waiters(Condition& cond, uint32_t count) {
  Section section(cond.version, Tag::kCondition);
  if (sched::started()) sched::wake(key_of(cond), count);
}

}  // namespace

int cond_init(pthread_cond_t* cond, const pthread_condattr_t* attributes) {
  // glibc's pthread_condattr_t: bit 0 sharing between processes, bit 1 the clock.
  uint32_t bits = 0;
  if (attributes != nullptr) std::memcpy(&bits, attributes, sizeof bits);
  std::memset(cond, 0, sizeof *cond);
  at(cond).clock = bits >> 1 & 1;
  return 0;
}

int cond_destroy(pthread_cond_t*) { return 0; }

int cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex) {
  return wait_until(at(cond), mutex, kForEver);
}

int cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* deadline) {
  return wait_until(cond, mutex, static_cast<clockid_t>(at(cond).clock), deadline);
}

int cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                   const timespec* deadline) {
  if (!supported_clock(clock)) return EINVAL;
  return wait_until(cond, mutex, clock, deadline);
}

int cond_signal(pthread_cond_t* cond) {
  wake_waiters(at(cond), 1);
  return 0;
}

int cond_broadcast(pthread_cond_t* cond) {
  wake_waiters(at(cond), UINT32_MAX);
  return 0;
}

}  // namespace evenkeel::sync
