#include "runtime/kernel/signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>

#include "runtime/kernel/fault.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;

constexpr uint64_t bit(int number) { return uint64_t{1} << (number - 1); }

struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  uint64_t flags;
  void (*restorer)();
  uint64_t mask;
};

// What handlers saw, in order.
struct Seen {
  int number;
  int code;
  int pid;
  int value;
  uint32_t thread;
  uint64_t mask;         // while the handler ran
  uint64_t interrupted;  // in the context
};
constinit Seen seen[64] = {};
constinit int seen_count = 0;

uint64_t current_mask() {
  uint64_t mask = 0;
  REQUIRE_EQ(call(SYS_rt_sigprocmask, SIG_BLOCK, 0, &mask, 8), 0);
  return mask;
}

void note(int number, siginfo_t* info, void* context) {
  Seen& entry = seen[seen_count++];
  entry = {number,
           info->si_code,
           info->si_pid,
           info->si_int,
           sched::index_of(sched::self().id),
           current_mask(),
           0};
  REQUIRE_EQ(info->si_signo, number);
  std::memcpy(&entry.interrupted, &static_cast<ucontext_t*>(context)->uc_sigmask, 8);
}

void handle(int number, uint64_t flags = 0, uint64_t mask = 0,
            void (*handler)(int, siginfo_t*, void*) = note) {
  const KernelAction action{handler, SA_SIGINFO | flags, nullptr, mask};
  REQUIRE_EQ(call(SYS_rt_sigaction, number, &action, 0, 8), 0);
}
void block(uint64_t set) { REQUIRE_EQ(call(SYS_rt_sigprocmask, SIG_BLOCK, &set, 0, 8), 0); }
void unblock(uint64_t set) { REQUIRE_EQ(call(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, 0, 8), 0); }
long kill_self(int number) { return call(SYS_kill, kReportedPid, number); }
uint64_t pending() {
  uint64_t set = 0;
  REQUIRE_EQ(call(SYS_rt_sigpending, &set, 8), 0);
  return set;
}
// At the first quiescence the signal arrives from outside; after that timers run.
void arrives_at_quiescence(int number) {
  at_quiescence([number, sent = false]() mutable {
    if (sent) return false;
    sent = true;
    sched::Guard guard;
    kernel::deliver_process_signal(number);
    return true;
  });
}

TEST(Signals, RunTheHandlerOfASignalSentToOneself) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1, 0, bit(SIGUSR2));
              REQUIRE_EQ(call(SYS_tgkill, kReportedPid, kReportedPid, SIGUSR1), 0);
              REQUIRE_EQ(seen_count, 1);
              REQUIRE_EQ(seen[0].number, SIGUSR1);
              REQUIRE_EQ(seen[0].code, SI_TKILL);
              REQUIRE_EQ(seen[0].pid, kReportedPid);
              REQUIRE_EQ(seen[0].mask, bit(SIGUSR1) | bit(SIGUSR2));
              REQUIRE_EQ(seen[0].interrupted, 0);
              REQUIRE_EQ(current_mask(), 0);
              REQUIRE_EQ(kill_self(SIGUSR1), 0);
              REQUIRE_EQ(seen[1].code, SI_USER);
            }),
            kPassed);
}

TEST(Signals, FollowTheFlagsOfTheDisposition) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1, SA_NODEFER | SA_RESETHAND);
              REQUIRE_EQ(kill_self(SIGUSR1), 0);
              REQUIRE_EQ(seen[0].mask, 0);
              KernelAction now = {};
              REQUIRE_EQ(call(SYS_rt_sigaction, SIGUSR1, 0, &now, 8), 0);
              REQUIRE(now.handler == nullptr);
            }),
            kPassed);
}

TEST(Signals, LetAHandlerChangeTheMaskItReturnsTo) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1, 0, 0, [](int, siginfo_t*, void* context) {
                const uint64_t mask = bit(SIGHUP);
                std::memcpy(&static_cast<ucontext_t*>(context)->uc_sigmask, &mask, sizeof mask);
              });
              REQUIRE_EQ(kill_self(SIGUSR1), 0);
              REQUIRE_EQ(current_mask(), bit(SIGHUP));
            }),
            kPassed);
}

TEST(Signals, StayPendingWhileBlockedAndComeInNumberOrder) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1);
              handle(SIGUSR2);
              handle(SIGHUP);
              block(bit(SIGUSR1) | bit(SIGUSR2) | bit(SIGHUP));
              kill_self(SIGUSR2);
              kill_self(SIGUSR1);
              kill_self(SIGUSR1);  // standard signals do not count
              REQUIRE_EQ(pending(), bit(SIGUSR1) | bit(SIGUSR2));
              REQUIRE_EQ(seen_count, 0);
              unblock(bit(SIGUSR1) | bit(SIGUSR2));
              REQUIRE_EQ(seen_count, 2);
              REQUIRE_EQ(seen[0].number, SIGUSR1);
              REQUIRE_EQ(seen[1].number, SIGUSR2);
              REQUIRE_EQ(pending(), 0);
            }),
            kPassed);
}

TEST(Signals, QueueRealTimeSignalsWithTheirValues) {
  EXPECT_EQ(run_kernel([] {
              handle(40);
              block(bit(40));
              for (int value = 1; value <= 3; ++value) {
                siginfo_t info = {};
                info.si_code = SI_QUEUE;
                info.si_int = value;
                REQUIRE_EQ(call(SYS_rt_sigqueueinfo, kReportedPid, 40, &info), 0);
              }
              unblock(bit(40));
              REQUIRE_EQ(seen_count, 3);
              for (int i = 0; i < 3; ++i) REQUIRE_EQ(seen[i].value, i + 1);
            }),
            kPassed);
}

TEST(Signals, AreDroppedWhenIgnored) {
  EXPECT_EQ(run_kernel([] {
              const KernelAction ignore{reinterpret_cast<decltype(KernelAction::handler)>(1), 0,
                                        nullptr, 0};
              handle(SIGUSR1);
              block(bit(SIGUSR1));
              kill_self(SIGUSR1);
              REQUIRE_EQ(call(SYS_rt_sigaction, SIGUSR1, &ignore, 0, 8), 0);
              REQUIRE_EQ(pending(), 0);
              unblock(bit(SIGUSR1));
              REQUIRE_EQ(kill_self(SIGUSR1), 0);
              REQUIRE_EQ(kill_self(SIGCHLD), 0);  // ignored by default
              REQUIRE_EQ(seen_count, 0);
            }),
            kPassed);
}

// abort() ends the execution, not the server: the batch may succeed when it is executed again.
TEST(Signals, RaisedForACrashAreAFault) {
  EXPECT_EQ(run_kernel([] {
              at_quiescence([] {
                const kernel::Fault fault = kernel::take_fault();
                REQUIRE(!kernel::ended());
                REQUIRE_EQ(fault.signal, SIGABRT);
                REQUIRE_EQ(fault.thread, 0u);
                finish();
                return false;
              });
              call(SYS_tgkill, kReportedPid, kReportedPid, SIGABRT);
              fail(__FILE__, __LINE__, "ran on", 0, 0);
            }),
            kPassed);
}

TEST(Signals, EndTheServerByDefault) {
  const auto ends_by = [](int number) {
    at_quiescence([number] {
      REQUIRE(kernel::ended());
      REQUIRE_EQ(kernel::process_outcome().signal, number);
      finish();
      return false;
    });
  };
  EXPECT_EQ(run_kernel([&] {
              ends_by(SIGTERM);
              call(SYS_tgkill, kReportedPid, kReportedPid, SIGTERM);
              fail(__FILE__, __LINE__, "ran on", 0, 0);
            }),
            kPassed);
  EXPECT_EQ(run_kernel([&] {  // pending, then no longer blocked
              ends_by(SIGTERM);
              block(bit(SIGTERM));
              REQUIRE_EQ(kill_self(SIGTERM), 0);
              unblock(bit(SIGTERM));
              fail(__FILE__, __LINE__, "ran on", 0, 0);
            }),
            kPassed);
  EXPECT_EQ(run_kernel([&] {
              ends_by(SIGKILL);
              kill_self(SIGKILL);
              fail(__FILE__, __LINE__, "ran on", 0, 0);
            }),
            kPassed);
}

TEST(Signals, InterruptAWaitWhenTheyArrive) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGHUP, SA_RESTART);
              arrives_at_quiescence(SIGHUP);
              REQUIRE_EQ(call(SYS_pause), -EINTR);
              REQUIRE_EQ(seen_count, 1);
            }),
            kPassed);
}

TEST(Signals, RestartOrInterruptAReadAsTheHandlerWishes) {
  for (const bool restart : {false, true}) {
    EXPECT_EQ(run_kernel([restart] {
                const long fd = call(SYS_eventfd2, 0, 0);
                uint64_t value = 0;
                handle(SIGUSR1, restart ? SA_RESTART : 0);
                spawn([fd, restart] {
                  REQUIRE_EQ(call(SYS_tgkill, kReportedPid, kReportedPid, SIGUSR1), 0);
                  if (!restart) return;
                  call(SYS_sched_yield);
                  const uint64_t five = 5;
                  REQUIRE_EQ(call(SYS_write, fd, &five, sizeof five), 8);
                });
                const long result = call(SYS_read, fd, &value, sizeof value);
                REQUIRE_EQ(result, restart ? 8 : -EINTR);
                REQUIRE_EQ(value, restart ? 5 : 0);
                REQUIRE_EQ(seen_count, 1);
              }),
              kPassed);
  }
}

// A thread that never waits still finds out.
TEST(Signals, ReachARunningThreadWhenItsCallReturns) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1);
              spawn([] { REQUIRE_EQ(call(SYS_tgkill, kReportedPid, kReportedPid, SIGUSR1), 0); });
              REQUIRE_EQ(call(SYS_sched_yield), 0);  // ready, not waiting, while the other runs
              REQUIRE_EQ(seen_count, 1);
            }),
            kPassed);
}

TEST(Signals, OfTheProcessGoToTheLowestWaitingThreadThatTakesThem) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGHUP);
              block(bit(SIGHUP));
              for (int i = 0; i < 3; ++i) {
                spawn([i] {
                  if (i == 0) block(bit(SIGHUP));
                  if (i != 0) unblock(bit(SIGHUP));
                  call(SYS_pause);
                });
              }
              at_quiescence([rounds = 0]() mutable {
                if (++rounds == 2) {
                  REQUIRE_EQ(seen_count, 1);
                  REQUIRE_EQ(seen[0].thread, 2);
                  finish();
                }
                sched::Guard guard;
                kernel::deliver_process_signal(SIGHUP);
                return true;
              });
              join_all();
            }),
            kPassed);
}

TEST(Signals, AreTakenBySigwaitBeforeAHandlerSeesThem) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGHUP);
              block(bit(SIGHUP));
              arrives_at_quiescence(SIGHUP);
              const uint64_t set = bit(SIGHUP);
              siginfo_t info = {};
              REQUIRE_EQ(call(SYS_rt_sigtimedwait, &set, &info, 0, 8), SIGHUP);
              REQUIRE_EQ(info.si_signo, SIGHUP);
              REQUIRE_EQ(seen_count, 0);
              REQUIRE_EQ(pending(), 0);
              const timespec zero = {0, 0};
              REQUIRE_EQ(call(SYS_rt_sigtimedwait, &set, 0, &zero, 8), -EAGAIN);
              const timespec second = {1, 0};
              const uint64_t before_ns = sched::batch_time().monotonic_ns;
              REQUIRE_EQ(call(SYS_rt_sigtimedwait, &set, 0, &second, 8), -EAGAIN);
              REQUIRE_EQ(sched::batch_time().monotonic_ns - before_ns, 1'000'000'000);
            }),
            kPassed);
}

TEST(Signals, WakeSigsuspendAndRestoreTheMask) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1);
              block(bit(SIGUSR1));
              kill_self(SIGUSR1);
              const uint64_t none = 0;
              REQUIRE_EQ(call(SYS_rt_sigsuspend, &none, 8), -EINTR);
              REQUIRE_EQ(seen_count, 1);
              REQUIRE_EQ(seen[0].interrupted, 0);
              REQUIRE_EQ(current_mask(), bit(SIGUSR1));
            }),
            kPassed);
}

// The classic way to wait for either without a race.
TEST(Signals, InterruptACallWithAMaskThatLetsThemIn) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1, SA_RESTART);
              block(bit(SIGUSR1) | bit(SIGUSR2));
              kill_self(SIGUSR1);
              const uint64_t let_in = bit(SIGUSR2);
              const long set = call(SYS_epoll_create1, 0);
              uint64_t event[2] = {};
              REQUIRE_EQ(call(SYS_epoll_pwait, set, event, 1, -1, &let_in, 8), -EINTR);
              REQUIRE_EQ(seen_count, 1);
              REQUIRE_EQ(seen[0].interrupted, bit(SIGUSR2));
              REQUIRE_EQ(current_mask(), bit(SIGUSR1) | bit(SIGUSR2));
              kill_self(SIGUSR1);
              REQUIRE_EQ(call(SYS_ppoll, 0, 0, 0, &let_in, 8), -EINTR);
              kill_self(SIGUSR1);
              const uint64_t mask_argument[2] = {reinterpret_cast<uint64_t>(&let_in), 8};
              REQUIRE_EQ(call(SYS_pselect6, 0, 0, 0, 0, 0, mask_argument), -EINTR);
              REQUIRE_EQ(seen_count, 3);
            }),
            kPassed);
}

TEST(Signals, CanBeReadFromADescriptor) {
  EXPECT_EQ(run_kernel([] {
              const uint64_t set = bit(SIGHUP) | bit(SIGUSR1);
              block(set);
              const long fd = call(SYS_signalfd4, -1, &set, 8, SFD_NONBLOCK);
              REQUIRE(fd >= 0);
              signalfd_siginfo records[2] = {};
              REQUIRE_EQ(call(SYS_read, fd, records, sizeof records), -EAGAIN);
              arrives_at_quiescence(SIGHUP);
              pollfd waiting = {static_cast<int>(fd), POLLIN, 0};
              REQUIRE_EQ(call(SYS_poll, &waiting, 1, -1), 1);
              kill_self(SIGUSR1);
              REQUIRE_EQ(call(SYS_read, fd, records, sizeof records), sizeof records);
              REQUIRE_EQ(records[0].ssi_signo, SIGHUP);
              REQUIRE_EQ(records[1].ssi_signo, SIGUSR1);
              REQUIRE_EQ(call(SYS_read, fd, records, 8), -EINVAL);
              REQUIRE_EQ(call(SYS_close, fd), 0);
              REQUIRE_EQ(kill_self(SIGUSR1), 0);  // no descriptor to tell any more
            }),
            kPassed);
}

TEST(Signals, ComeFromTimers) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGALRM);
              REQUIRE_EQ(call(SYS_alarm, 5), 0);
              REQUIRE_EQ(call(SYS_alarm, 2), 5);
              const uint64_t before_ns = sched::batch_time().monotonic_ns;
              REQUIRE_EQ(call(SYS_pause), -EINTR);
              REQUIRE_EQ(sched::batch_time().monotonic_ns - before_ns, 2'000'000'000);
              const itimerval every = {{0, 500'000}, {0, 250'000}};
              REQUIRE_EQ(call(SYS_setitimer, ITIMER_REAL, &every, 0), 0);
              for (int i = 0; i < 3; ++i) REQUIRE_EQ(call(SYS_pause), -EINTR);
              REQUIRE_EQ(sched::batch_time().monotonic_ns - before_ns, 3'250'000'000);
              itimerval left = {};
              REQUIRE_EQ(call(SYS_getitimer, ITIMER_REAL, &left), 0);
              REQUIRE_EQ(left.it_value.tv_usec, 500'000);
              REQUIRE_EQ(call(SYS_alarm, 0), 1);
              REQUIRE_EQ(seen_count, 4);
            }),
            kPassed);
}

TEST(Signals, ComeFromPosixTimersWithTheirValue) {
  EXPECT_EQ(run_kernel([] {
              handle(SIGUSR1);
              sigevent event = {};
              event.sigev_notify = SIGEV_SIGNAL;
              event.sigev_signo = SIGUSR1;
              event.sigev_value.sival_int = 77;
              int timer = -1;
              REQUIRE_EQ(call(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer), 0);
              const itimerspec once = {{0, 0}, {0, 1000}};
              REQUIRE_EQ(call(SYS_timer_settime, timer, 0, &once, 0), 0);
              REQUIRE_EQ(call(SYS_pause), -EINTR);
              REQUIRE_EQ(seen[0].code, SI_TIMER);
              REQUIRE_EQ(seen[0].value, 77);
              REQUIRE_EQ(call(SYS_timer_getoverrun, timer), 0);
              REQUIRE_EQ(call(SYS_timer_delete, timer), 0);
              REQUIRE_EQ(call(SYS_timer_delete, timer), -EINVAL);
            }),
            kPassed);
}

TEST(Signals, RefuseAsTheKernelDoes) {
  EXPECT_EQ(run_kernel([] {
              const KernelAction action{note, 0, nullptr, 0};
              const uint64_t set = 0;
              REQUIRE_EQ(call(SYS_rt_sigaction, SIGKILL, &action, 0, 8), -EINVAL);
              REQUIRE_EQ(call(SYS_rt_sigaction, 65, 0, 0, 8), -EINVAL);
              REQUIRE_EQ(call(SYS_rt_sigaction, SIGUSR1, 0, 0, 4), -EINVAL);
              REQUIRE_EQ(call(SYS_rt_sigprocmask, 9, &set, 0, 8), -EINVAL);
              REQUIRE_EQ(call(SYS_kill, kReportedPid, 65), -EINVAL);
              REQUIRE_EQ(call(SYS_kill, kReportedPid, 0), 0);
              REQUIRE_EQ(call(SYS_kill, 1, SIGUSR1), -EPERM);
              REQUIRE_EQ(call(SYS_tgkill, kReportedPid, kReportedPid + 50, SIGUSR1), -ESRCH);
              REQUIRE_EQ(call(SYS_tgkill, 1, kReportedPid, SIGUSR1), -ESRCH);
              block(~uint64_t{0});
              REQUIRE_EQ(current_mask(), ~(bit(SIGKILL) | bit(SIGSTOP)));
            }),
            kPassed);
}

TEST(Signals, RememberAnAlternateStack) {
  EXPECT_EQ(run_kernel([] {
              stack_t stack = {};
              REQUIRE_EQ(call(SYS_sigaltstack, 0, &stack), 0);
              REQUIRE_EQ(stack.ss_flags, SS_DISABLE);
              static char memory[8192];
              const stack_t wanted = {memory, 0, sizeof memory};
              REQUIRE_EQ(call(SYS_sigaltstack, &wanted, 0), 0);
              REQUIRE_EQ(call(SYS_sigaltstack, 0, &stack), 0);
              REQUIRE(stack.ss_sp == memory);
              const stack_t small = {memory, 0, 100};
              REQUIRE_EQ(call(SYS_sigaltstack, &small, 0), -ENOMEM);
            }),
            kPassed);
}

TEST(Signals, InheritWhatTheProcessIgnored) {
  ::signal(SIGHUP, SIG_IGN);
  EXPECT_EQ(run_kernel([] {
              REQUIRE_EQ(kill_self(SIGHUP), 0);
              KernelAction now = {};
              REQUIRE_EQ(call(SYS_rt_sigaction, SIGHUP, 0, &now, 8), 0);
              REQUIRE(now.handler == reinterpret_cast<decltype(now.handler)>(1));
            }),
            kPassed);
  ::signal(SIGHUP, SIG_DFL);
}

}  // namespace
}  // namespace evenkeel::test
