// Raw futexes: libc's internal locks, std::atomic::wait, servers that bring their own locks.
#include "runtime/kernel/futex.h"

#include <linux/futex.h>
#include <time.h>

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::Tag;

// The order of operations on a futex is kept per hash bucket of its address: the word itself has no
// room for a version.
constexpr uint32_t kBuckets = 1024;
constinit uint32_t* g_versions = nullptr;

uint32_t& version_of(uint64_t address) {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;
  return g_versions[(address * kGolden) >> 54];
}

uint64_t deadline_of(const timespec* timeout, bool absolute, bool realtime) {
  if (timeout == nullptr) return sched::kNoDeadline;
  const uint64_t ns = static_cast<uint64_t>(timeout->tv_sec) * 1'000'000'000 +
                      static_cast<uint64_t>(timeout->tv_nsec);
  if (!absolute) return deadline_after(ns);
  if (!realtime) return ns;
  const auto& now = sched::batch_time();
  return now.monotonic_ns + (ns > now.realtime_ns ? ns - now.realtime_ns : 0);
}

bool valid_timeout(const timespec* timeout) {
  if (timeout == nullptr) return true;
  return timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000;
}

bool differs(uint64_t address, uint32_t expected) {
  return __atomic_load_n(reinterpret_cast<uint32_t*>(address), __ATOMIC_SEQ_CST) != expected;
}

// Takes the lock if the thread is to sleep. The comparison of the word depends on unordered stores,
// so its outcome is recorded: a follower sleeps exactly when the primary slept. It is made with the
// lock held, when no waker can be between its store and its wake-up.
bool enter_wait(uint64_t address, uint32_t expected) {
  bool failed = false;
  if (sched::recorded_failure(Tag::kFutex, failed)) {
    if (failed) return false;
    sched::lock_ordered(version_of(address), Tag::kFutex);
    return true;
  }
  sched::lock();
  if (differs(address, expected)) {
    sched::unlock();
    sched::log_failure(Tag::kFutex);
    return false;
  }
  sched::passed(version_of(address), Tag::kFutex);
  return true;
}

long result_of(Waited waited) {
  switch (waited) {
    case Waited::kTimeout:
      return -ETIMEDOUT;
    case Waited::kInterrupted:
      return -EINTR;
    case Waited::kAgain:
      break;
  }
  return 0;
}

// A join. The word alone does not say whether the thread has exited, see leave_tid().
long await_exit(sched::Thread& thread, uint64_t address, uint64_t deadline_ns) {
  lock_futex(address);
  if (clear_tid_if_exited(thread)) {
    sched::unlock();
    return -EAGAIN;
  }
  if (deadline_ns <= sched::batch_time().monotonic_ns) {
    sched::unlock();
    if (sched::serial()) sched::yield();  // it may try again until the thread has exited
    return -ETIMEDOUT;
  }
  return result_of(wait_on(address, deadline_ns, true, wire::WaitKind::kJoin));
}

long wait_while_equal(uint64_t address, uint32_t expected, uint64_t deadline_ns) {
  if (sched::Thread* thread = thread_of_tid_word(address, expected)) {
    return await_exit(*thread, address, deadline_ns);
  }
  if (deadline_ns <= sched::batch_time().monotonic_ns) {
    return differs(address, expected) ? -EAGAIN : -ETIMEDOUT;
  }
  if (!enter_wait(address, expected)) return -EAGAIN;
  return result_of(wait_on(address, deadline_ns, true, wire::WaitKind::kFutex));
}

long requeue_waiters(const Call& call, uint64_t address, bool compare) {
  const auto to = call.args[4];
  sched::OrderedGuard guard(version_of(address), Tag::kFutex);
  if (compare &&
      __atomic_load_n(reinterpret_cast<uint32_t*>(address), __ATOMIC_SEQ_CST) != call.word(5)) {
    return -EAGAIN;
  }
  const uint32_t woken = sched::wake(address, call.word(2));
  return woken + sched::requeue(address, to, static_cast<uint32_t>(call.args[3]));
}

}  // namespace

void init_futexes() {
  g_versions = static_cast<uint32_t*>(arena::allocate(kBuckets * sizeof(uint32_t)));
}

long futex_wake_address(uint64_t address, uint32_t count) {
  sched::OrderedGuard guard(version_of(address), Tag::kFutex);
  return sched::wake(address, count);
}

void lock_futex(uint64_t address) { sched::lock_ordered(version_of(address), Tag::kFutex); }

long sys_futex(const Call& call) {
  const uint64_t address = call.args[0];
  const int operation = call.integer(1);
  const bool realtime = (operation & FUTEX_CLOCK_REALTIME) != 0;
  const auto* timeout = call.pointer<const timespec>(3);
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
      if (!valid_timeout(timeout)) return -EINVAL;
      return wait_while_equal(address, call.word(2), deadline_of(timeout, false, false));
    case FUTEX_WAIT_BITSET:
      if (!valid_timeout(timeout)) return -EINVAL;
      return wait_while_equal(address, call.word(2), deadline_of(timeout, true, realtime));
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      return futex_wake_address(address, call.word(2));
    case FUTEX_REQUEUE:
      return requeue_waiters(call, address, false);
    case FUTEX_CMP_REQUEUE:
      return requeue_waiters(call, address, true);
    default:
      break;
  }
  count_unhandled("futex operation");
  return -ENOSYS;
}

}  // namespace evenkeel::kernel
