#include "runtime/kernel/process.h"

#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/kernel/state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/clock.h"
#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;

uint64_t unhandled(const char* what) {
  for (const auto& entry : kernel::replica().unhandled_names) {
    if (std::strcmp(entry.name, what) == 0) return entry.count;
  }
  return 0;
}

// The pump's view when the process has ended: passes if it has come to `check`.
template <typename Check>
void pass_when(Check check) {
  at_quiescence([check] {
    REQUIRE(check(kernel::process_outcome()));
    finish();
    return false;
  });
}

void begin_start_up() {
  sched::BatchTime time = sched::batch_time();
  time.batch = 0;
  sched::set_batch_time(time);
}

TEST(Process, EndsForAllThreadsAtOnce) {
  EXPECT_EQ(run_kernel([] {
              pass_when([](const kernel::ProcessOutcome& outcome) {
                return outcome.ended && outcome.status == 7 && outcome.signal == 0;
              });
              spawn([] { fail(__FILE__, __LINE__, "ran after the end", 0, 0); });
              call(SYS_exit_group, 256 + 7);
              fail(__FILE__, __LINE__, "exit_group returned", 0, 0);
            }),
            kPassed);
}

TEST(Process, RemembersTheFirstEnd) {
  EXPECT_EQ(run_kernel([] {
              kernel::mark_ended(0, 15);
              kernel::mark_ended(3, 0);
              REQUIRE(kernel::ended());
              REQUIRE_EQ(kernel::process_outcome().signal, 15);
              REQUIRE_EQ(kernel::process_outcome().status, 0);
              kernel::reset_process_outcome();
              REQUIRE(!kernel::ended());
              sched::clear_stop();
            }),
            kPassed);
}

TEST(Process, AsksToBeStartedAgainInTheBackground) {
  EXPECT_EQ(run_kernel([] {
              pass_when([](const kernel::ProcessOutcome& outcome) {
                return outcome.daemonise && !outcome.ended;
              });
              begin_start_up();
              call(SYS_fork);
              fail(__FILE__, __LINE__, "fork returned", 0, 0);
            }),
            kPassed);
}

TEST(Process, IsTheChildWhenItHasBeenStartedAgain) {
  const auto daemonised = [](wire::Boot& boot) { boot.daemonised = 1; };
  EXPECT_EQ(run_kernel(
                [] {
                  begin_start_up();
                  uint32_t tid = 0;
                  constexpr uint64_t kFlags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
                  REQUIRE_EQ(call(SYS_clone, kFlags, 0, 0, &tid, 0), 0);
                  REQUIRE_EQ(tid, kReportedPid);
                  REQUIRE_EQ(call(SYS_fork), 0);  // daemons do it twice
                  REQUIRE_EQ(call(SYS_getpid), kReportedPid);
                },
                daemonised),
            kPassed);
}

TEST(Process, HasNoChildren) {
  EXPECT_EQ(run_kernel([] {
              REQUIRE_EQ(call(SYS_fork), -EAGAIN);  // not at start-up any more
              REQUIRE_EQ(call(SYS_vfork), -EAGAIN);
              begin_start_up();
              REQUIRE_EQ(call(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0), -EAGAIN);
              kernel::state().listeners = 1;
              REQUIRE_EQ(call(SYS_fork), -EAGAIN);
              REQUIRE_EQ(unhandled("fork"), 4);
              REQUIRE_EQ(call(SYS_wait4, -1, 0, 0, 0), -ECHILD);
              REQUIRE_EQ(call(SYS_execve, "/bin/true", 0, 0), -EACCES);
              REQUIRE_EQ(unhandled("exec"), 1);
            }),
            kPassed);
}

TEST(Process, HasTheCoordinatorsIdentity) {
  EXPECT_EQ(run_kernel([] {
              REQUIRE_EQ(call(SYS_getpid), kReportedPid);
              REQUIRE_EQ(call(SYS_getppid), kReportedParent);
              REQUIRE_EQ(call(SYS_getpgrp), kReportedPid);
              REQUIRE_EQ(call(SYS_getpgid, 0), kReportedPid);
              REQUIRE_EQ(call(SYS_getsid, 0), getsid(0));
              REQUIRE_EQ(call(SYS_setsid), kReportedPid);
              REQUIRE_EQ(call(SYS_getsid, 0), kReportedPid);
              REQUIRE_EQ(call(SYS_getuid), getuid());
              utsname name = {};
              REQUIRE_EQ(call(SYS_uname, &name), 0);
              REQUIRE(std::strcmp(name.sysname, "Linux") == 0);
            }),
            kPassed);
}

TEST(Process, ChangesCredentialsOnlyWhileThereIsOneCarrier) {
  EXPECT_EQ(run_kernel([] { REQUIRE_EQ(call(SYS_setuid, getuid()), 0); }), kPassed);
  EXPECT_EQ(run_kernel([] { REQUIRE_EQ(call(SYS_setuid, getuid()), -EPERM); }, {}, {.carriers = 2}),
            kPassed);
}

TEST(Process, EnforcesTheLimitOfDescriptors) {
  EXPECT_EQ(run_kernel([] {
              rlimit limit = {};
              REQUIRE_EQ(call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &limit), 0);
              const rlimit wanted = {20, limit.rlim_max};
              rlimit before = {};
              REQUIRE_EQ(call(SYS_prlimit64, 0, RLIMIT_NOFILE, &wanted, &before), 0);
              REQUIRE_EQ(before.rlim_cur, limit.rlim_cur);
              REQUIRE_EQ(call(SYS_getrlimit, RLIMIT_NOFILE, &limit), 0);
              REQUIRE_EQ(limit.rlim_cur, 20);
              long last = 0;
              while (last >= 0 && last < 20) last = call(SYS_eventfd2, 0, 0);
              REQUIRE_EQ(last, -EMFILE);
              REQUIRE_EQ(call(SYS_close, 19), 0);
              REQUIRE_EQ(call(SYS_eventfd2, 0, 0), 19);
              const rlimit impossible = {30, 20};
              REQUIRE_EQ(call(SYS_setrlimit, RLIMIT_NOFILE, &impossible), -EINVAL);
              REQUIRE_EQ(call(SYS_setrlimit, 99, &wanted), -EINVAL);
            }),
            kPassed);
}

// A limit on address space would hit the arenas, not the server.
TEST(Process, RemembersOtherLimitsWithoutEnforcingThem) {
  EXPECT_EQ(run_kernel([] {
              const rlimit small = {1 << 20, 1 << 20};
              rlimit seen = {};
              REQUIRE_EQ(call(SYS_setrlimit, RLIMIT_AS, &small), 0);
              REQUIRE_EQ(call(SYS_getrlimit, RLIMIT_AS, &seen), 0);
              REQUIRE_EQ(seen.rlim_cur, 1 << 20);
              REQUIRE(mmap(nullptr, 1 << 24, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                      MAP_FAILED);
            }),
            kPassed);
}

TEST(Process, ReportsVirtualUsage) {
  EXPECT_EQ(run_kernel([] {
              sched::set_batch_time({3, 90'000'000'000, 1, 2'500'000'000, 1});
              rusage usage = {};
              REQUIRE_EQ(call(SYS_getrusage, RUSAGE_SELF, &usage), 0);
              REQUIRE_EQ(usage.ru_utime.tv_sec, 2);
              REQUIRE_EQ(usage.ru_utime.tv_usec, 500'000);
              REQUIRE_EQ(usage.ru_maxrss, 0);
              REQUIRE_EQ(call(SYS_getrusage, 77, &usage), -EINVAL);
              tms times = {};
              REQUIRE_EQ(call(SYS_times, &times), 9000);
              REQUIRE_EQ(times.tms_utime, 250);
              struct sysinfo info = {};
              REQUIRE_EQ(call(SYS_sysinfo, &info), 0);
              REQUIRE_EQ(info.uptime, 90);
              REQUIRE_EQ(info.loads[0], 0);
              REQUIRE_EQ(info.freeram, info.totalram);
              uint32_t cpu = 9;
              REQUIRE_EQ(call(SYS_getcpu, &cpu, 0, 0), 0);
              REQUIRE_EQ(cpu, 0);
            }),
            kPassed);
}

TEST(Process, NamesEachThread) {
  EXPECT_EQ(run_kernel([] {
              char name[16] = {};
              REQUIRE_EQ(call(SYS_prctl, PR_SET_NAME, "a name that is too long"), 0);
              REQUIRE_EQ(call(SYS_prctl, PR_GET_NAME, name), 0);
              REQUIRE(std::strcmp(name, "a name that is ") == 0);
              spawn([] {
                char other[16] = {};
                kernel::inherit_thread_attributes(sched::self(), sched::thread(sched::ThreadId{0}));
                call(SYS_prctl, PR_GET_NAME, other);
                REQUIRE(std::strcmp(other, "a name that is ") == 0);
                call(SYS_prctl, PR_SET_NAME, "worker");
              });
              join_all();
              REQUIRE_EQ(call(SYS_prctl, PR_GET_NAME, name), 0);
              REQUIRE(std::strcmp(name, "a name that is ") == 0);
            }),
            kPassed);
}

TEST(Process, YieldsToOtherThreads) {
  EXPECT_EQ(run_kernel([] {
              static int turns = 0;
              spawn([] { ++turns; });
              REQUIRE_EQ(turns, 0);
              REQUIRE_EQ(call(SYS_sched_yield), 0);
              REQUIRE_EQ(turns, 1);
              REQUIRE_EQ(call(SYS_sched_setaffinity, kReportedPid, 8, 0), 0);
              REQUIRE_EQ(call(SYS_sched_setaffinity, 77, 8, 0), -ESRCH);
              uint64_t processors[16] = {};
              REQUIRE(call(SYS_sched_getaffinity, kReportedPid, sizeof processors, processors) > 0);
              REQUIRE(processors[0] != 0);
            }),
            kPassed);
}

}  // namespace
}  // namespace evenkeel::test
