#include "runtime/kernel/wait.h"

#include "runtime/kernel/signals.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

Waited after_signal(bool restartable) {
  bool restart = false;
  const bool ran = run_pending_handlers(restart);
  return !ran || (restart && restartable) ? Waited::kAgain : Waited::kInterrupted;
}

}  // namespace

Waited wait_on(uint64_t key, uint64_t deadline_ns, bool restartable, wire::WaitKind kind) {
  if (signal_pending_for_self()) {  // sent while the thread was running
    sched::unlock();
    return after_signal(restartable);
  }
  sched::enqueue_waiter(sched::self(), key, deadline_ns);
  if (kind != wire::WaitKind::kOther) sched::describe_wait(sched::self(), kind);
  sched::suspend_locked();
  switch (sched::self().wake) {
    case sched::Wake::kWoken:
      return Waited::kAgain;
    case sched::Wake::kTimeout:
      return Waited::kTimeout;
    case sched::Wake::kSignal:
      break;
  }
  return after_signal(restartable);
}

uint64_t deadline_after(uint64_t timeout_ns) {
  const uint64_t now = sched::batch_time().monotonic_ns;
  return timeout_ns > sched::kNoDeadline - now ? sched::kNoDeadline : now + timeout_ns;
}

}  // namespace evenkeel::kernel
