#include <sys/signalfd.h>

#include <cerrno>
#include <cstring>

#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/signal_state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;
using signals::bit;
using signals::state;

constexpr uint64_t kSetBytes = 8;

bool valid(int number) { return number >= 1 && number <= signals::kLast; }

// For calls that can make a signal deliverable to their own thread.
long after_handlers(long result) {
  bool restart = false;
  run_pending_handlers(restart);
  return result;
}

bool is_self(int pid) {
  const int reported = deck().boot.reported_pid;
  return pid == 0 || pid == reported || pid == -reported;
}

// Whether another process exists is a question about the world; to signal it would be an effect on
// the world that happens once per replica.
long signal_other_process(const Call& call) {
  if (call.integer(1) == 0) return pass_through(call);
  count_unhandled("kill of another process");
  return -EPERM;
}

long send_to_self(const siginfo_t& info) {
  {
    OrderedGuard guard(state().version, Tag::kTable);
    signals::send_to_process(info, &sched::self());
  }
  if (sched::stopping()) sched::abandon();
  return after_handlers(0);
}

long send_to_tid(int tid, int number, const siginfo_t& info) {
  {
    OrderedGuard guard(state().version, Tag::kTable);
    sched::Thread* thread = thread_of_tid(static_cast<uint32_t>(tid));
    if (thread == nullptr) return -ESRCH;
    if (number == 0) return 0;
    signals::send_to_thread(*thread, info);
  }
  if (sched::stopping()) sched::abandon();
  return after_handlers(0);
}

uint64_t changed_mask(uint64_t mask, int how, uint64_t set) {
  if (how == SIG_BLOCK) return mask | set;
  return how == SIG_UNBLOCK ? mask & ~set : set;
}

bool to_deadline(const timespec* timeout, uint64_t& deadline_ns) {
  deadline_ns = sched::kNoDeadline;
  if (timeout == nullptr) return true;
  constexpr long kSecond_ns = 1'000'000'000;
  if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= kSecond_ns) return false;
  deadline_ns = deadline_after(static_cast<uint64_t>(timeout->tv_sec) * kSecond_ns +
                               static_cast<uint64_t>(timeout->tv_nsec));
  return true;
}

// Waits until a handler has run.
long wait_for_handler() {
  for (;;) {
    bool restart = false;
    if (run_pending_handlers(restart)) return -EINTR;
    sched::lock();
    const auto key = reinterpret_cast<uint64_t>(&sched::self().signal_mask);
    if (wait_on(key, sched::kNoDeadline, false) == Waited::kInterrupted) return -EINTR;
  }
}

}  // namespace

long sys_rt_sigaction(const Call& call) {
  const int number = call.integer(0);
  const auto* wanted = call.pointer<const signals::Action>(1);
  auto* before = call.pointer<signals::Action>(2);
  if (call.args[3] != kSetBytes || !valid(number)) return -EINVAL;
  if (wanted != nullptr && (bit(number) & signals::kUnblockable) != 0) return -EINVAL;
  OrderedGuard guard(state().version, Tag::kTable);
  signals::Action& action = state().actions[number];
  const signals::Action old = action;
  if (wanted != nullptr) {
    action = *wanted;
    action.mask &= ~signals::kUnblockable;
    if (signals::is_ignored(number)) signals::discard_everywhere(number);
  }
  if (before != nullptr) *before = old;
  return 0;
}

long sys_rt_sigprocmask(const Call& call) {
  const int how = call.integer(0);
  const auto* set = call.pointer<const uint64_t>(1);
  auto* before = call.pointer<uint64_t>(2);
  if (call.args[3] != kSetBytes) return -EINVAL;
  if (set != nullptr && (how < SIG_BLOCK || how > SIG_SETMASK)) return -EINVAL;
  if (set == nullptr) {
    if (before != nullptr) *before = sched::self().signal_mask;
    return 0;
  }
  {
    OrderedGuard guard(state().version, Tag::kTable);
    sched::Thread& thread = sched::self();
    const uint64_t old = thread.signal_mask;
    thread.signal_mask = changed_mask(old, how, *set) & ~signals::kUnblockable;
    if (before != nullptr) *before = old;
  }
  return after_handlers(0);
}

long sys_rt_sigpending(const Call& call) {
  if (call.args[1] > kSetBytes) return -EINVAL;
  OrderedGuard guard(state().version, Tag::kTable);
  const uint64_t pending = signals::pending_for(sched::self()) & sched::self().signal_mask;
  std::memcpy(call.pointer<void>(0), &pending, call.args[1]);
  return 0;
}

long sys_rt_sigsuspend(const Call& call) {
  if (call.args[1] != kSetBytes) return -EINVAL;
  const SignalMaskScope scope(call.pointer<const uint64_t>(0));
  return wait_for_handler();
}

long sys_pause(const Call&) { return wait_for_handler(); }

long sys_rt_sigtimedwait(const Call& call) {
  if (call.args[3] != kSetBytes) return -EINVAL;
  const uint64_t set = *call.pointer<const uint64_t>(0) & ~signals::kUnblockable;
  auto* out = call.pointer<siginfo_t>(1);
  uint64_t deadline_ns = 0;
  if (!to_deadline(call.pointer<const timespec>(2), deadline_ns)) return -EINVAL;
  for (Waited waited = Waited::kAgain;;) {
    sched::lock_ordered(state().version, Tag::kTable);
    sched::Thread& self = sched::self();
    signals::of(self).awaited = 0;
    siginfo_t info = {};
    if (signals::take(self, set, info)) {
      sched::unlock();
      if (out != nullptr) *out = info;
      return info.si_signo;
    }
    if (waited != Waited::kAgain || deadline_ns <= sched::batch_time().monotonic_ns) {
      sched::unlock();
      return waited == Waited::kInterrupted ? -EINTR : -EAGAIN;
    }
    signals::of(self).awaited = set;
    waited = wait_on(reinterpret_cast<uint64_t>(&self.pending_signals), deadline_ns, false);
  }
}

long sys_kill(const Call& call) {
  const int number = call.integer(1);
  if (number != 0 && !valid(number)) return -EINVAL;
  if (!is_self(call.integer(0))) return signal_other_process(call);
  return number == 0 ? 0 : send_to_self(signals::plain_info(number, SI_USER));
}

long sys_tgkill(const Call& call) {
  const int number = call.integer(2);
  if (number != 0 && !valid(number)) return -EINVAL;
  if (call.integer(0) <= 0 || call.integer(1) <= 0) return -EINVAL;
  if (call.integer(0) != deck().boot.reported_pid) return -ESRCH;
  return send_to_tid(call.integer(1), number, signals::plain_info(number, SI_TKILL));
}

long sys_tkill(const Call& call) {
  const int number = call.integer(1);
  if (number != 0 && !valid(number)) return -EINVAL;
  if (call.integer(0) <= 0) return -EINVAL;
  return send_to_tid(call.integer(0), number, signals::plain_info(number, SI_TKILL));
}

long sys_rt_sigqueueinfo(const Call& call) {
  siginfo_t info = *call.pointer<const siginfo_t>(2);
  info.si_signo = call.integer(1);
  if (info.si_signo != 0 && !valid(info.si_signo)) return -EINVAL;
  if (!is_self(call.integer(0))) return signal_other_process(call);
  return info.si_signo == 0 ? 0 : send_to_self(info);
}

long sys_rt_tgsigqueueinfo(const Call& call) {
  siginfo_t info = *call.pointer<const siginfo_t>(3);
  info.si_signo = call.integer(2);
  if (info.si_signo != 0 && !valid(info.si_signo)) return -EINVAL;
  if (call.integer(0) != deck().boot.reported_pid) return -ESRCH;
  return send_to_tid(call.integer(1), info.si_signo, info);
}

// Recorded, so that it can be asked for; handlers run on the thread's own stack.
long sys_sigaltstack(const Call& call) {
  const auto* wanted = call.pointer<const stack_t>(0);
  auto* before = call.pointer<stack_t>(1);
  stack_t& current = signals::of(sched::self()).alternate;
  const stack_t old = current;
  if (wanted != nullptr) {
    constexpr uint32_t kAutoDisarm = uint32_t{1} << 31;  // SS_AUTODISARM
    constexpr uint32_t kKnown = uint32_t{SS_DISABLE} | uint32_t{SS_ONSTACK} | kAutoDisarm;
    if ((static_cast<uint32_t>(wanted->ss_flags) & ~kKnown) != 0) return -EINVAL;
    const bool off = (wanted->ss_flags & SS_DISABLE) != 0;
    constexpr size_t kLeast = 2048;  // the kernel's MINSIGSTKSZ
    if (!off && wanted->ss_size < kLeast) return -ENOMEM;
    current = off ? stack_t{nullptr, SS_DISABLE, 0} : *wanted;
    current.ss_flags &= ~SS_ONSTACK;
  }
  if (before != nullptr) *before = old;
  return 0;
}

}  // namespace evenkeel::kernel
