// Signals sent by the program to itself.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

volatile sig_atomic_t g_count = 0;
volatile sig_atomic_t g_last = 0;
std::atomic<long> g_thread = 0;

void count(int number) {
  g_count = g_count + 1;
  g_last = number;
  g_thread = syscall(SYS_gettid);
}

// Restores the disposition at the end of the scope.
class Handler {
 public:
  explicit Handler(int number, int flags = 0, void (*function)(int) = count) : number_(number) {
    struct sigaction action {};
    action.sa_handler = function;
    action.sa_flags = flags;
    EXPECT_EQ(sigaction(number, &action, &before_), 0);
    g_count = 0;
    g_last = 0;
  }
  ~Handler() { sigaction(number_, &before_, nullptr); }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

 private:
  int number_;
  struct sigaction before_ {};
};

sigset_t set_of(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}

class Blocked {
 public:
  explicit Blocked(int number) {
    const sigset_t set = set_of(number);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, &before_), 0);
  }
  ~Blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;

 private:
  sigset_t before_{};
};

TEST(Signals, RunTheirHandlerBeforeKillReturns) {
  const Handler handler(SIGUSR1);
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  EXPECT_EQ(g_count, 1);
  EXPECT_EQ(g_last, SIGUSR1);
  EXPECT_EQ(raise(SIGUSR1), 0);
  EXPECT_EQ(g_count, 2);
}

TEST(Signals, ZeroOnlyAsks) {
  EXPECT_EQ(kill(getpid(), 0), 0);
  EXPECT_ERRNO(kill(getpid(), 1000), EINVAL);
}

TEST(Signals, AreIgnoredWhenAskedTo) {
  const Handler ignored(SIGUSR2, 0, SIG_IGN);
  EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
  EXPECT_EQ(g_count, 0);
}

TEST(Signals, WaitWhileBlocked) {
  const Handler handler(SIGUSR1);
  {
    const Blocked blocked(SIGUSR1);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(g_count, 0);
    sigset_t pending;
    EXPECT_EQ(sigpending(&pending), 0);
    EXPECT_EQ(sigismember(&pending, SIGUSR1), 1);
  }
  EXPECT_EQ(g_count, 1);  // ordinary signals do not queue
}

TEST(Signals, BlockThemselvesWhileTheyAreHandled) {
  static volatile sig_atomic_t depth, deepest;
  depth = 0;
  deepest = 0;
  const Handler handler(SIGUSR1, 0, [](int) {
    depth = depth + 1;
    if (depth > deepest) deepest = depth;
    g_count = g_count + 1;
    if (g_count == 1) raise(SIGUSR1);
    depth = depth - 1;
  });
  raise(SIGUSR1);
  EXPECT_EQ(g_count, 2);
  EXPECT_EQ(deepest, 1);
}

TEST(Signals, TellWhoSentThem) {
  static siginfo_t info;
  struct sigaction action {
  }, before{};
  action.sa_sigaction = [](int, siginfo_t* given, void*) { info = *given; };
  action.sa_flags = SA_SIGINFO;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  EXPECT_EQ(info.si_signo, SIGUSR1);
  EXPECT_EQ(info.si_code, SI_USER);
  EXPECT_EQ(info.si_pid, getpid());
  struct sigaction seen {};
  ASSERT_EQ(sigaction(SIGUSR1, &before, &seen), 0);
  EXPECT_TRUE((seen.sa_flags & SA_SIGINFO) != 0);
}

TEST(Signals, OneShotHandlersReset) {
  const Handler handler(SIGUSR1, SA_RESETHAND);
  raise(SIGUSR1);
  struct sigaction now {};
  EXPECT_EQ(sigaction(SIGUSR1, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(Signals, SomeCannotBeCaught) {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  EXPECT_ERRNO(sigaction(SIGKILL, &action, nullptr), EINVAL);
  EXPECT_ERRNO(sigaction(SIGSTOP, &action, nullptr), EINVAL);
}

// A thread that blocks in `wait` gets SIGUSR1 once it says so; it must have been in the call or
// about to enter it, and both end the same way only if the signal is blocked outside: ppoll-like
// calls do that. Here a second signal follows until the thread has come back.
template <typename Wait>
void interrupt(Wait wait) {
  std::atomic<bool> back = false;
  std::atomic<pthread_t> waiter = 0;
  std::thread thread([&] {
    waiter = pthread_self();
    wait();
    back = true;
  });
  while (waiter == 0) sched_yield();
  while (!back) {
    pthread_kill(waiter, SIGUSR1);
    sched_yield();
  }
  thread.join();
}

TEST(Signals, InterruptWhatWaits) {
  const Handler handler(SIGUSR1);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd a(ends[0]), b(ends[1]);
  interrupt([&] { EXPECT_EQ(get(a), "!EINTR"); });
  interrupt([&] {
    const timespec long_time{1000, 0};
    timespec left{};
    EXPECT_ERRNO(nanosleep(&long_time, &left), EINTR);
    EXPECT_GT(left.tv_sec, 0);
  });
  interrupt([&] {
    pollfd fd{a, POLLIN, 0};
    EXPECT_ERRNO(poll(&fd, 1, -1), EINTR);
  });
  EXPECT_GE(g_count, 3);
}

TEST(Signals, RestartReadsWhenAskedTo) {
  const Handler handler(SIGUSR1, SA_RESTART);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd a(ends[0]), b(ends[1]);
  std::atomic<pthread_t> reader = 0;
  std::thread thread([&] {
    reader = pthread_self();
    EXPECT_EQ(get(a), "data");
  });
  while (reader == 0) sched_yield();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(pthread_kill(reader, SIGUSR1), 0);
    sched_yield();
  }
  EXPECT_EQ(put(b, "data"), 4);
  thread.join();
  EXPECT_GE(g_count, 1);
}

TEST(Signals, AreHandledByTheThreadTheyAreSentTo) {
  const Handler handler(SIGUSR1);
  EXPECT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
  EXPECT_EQ(g_thread, syscall(SYS_gettid));
  std::thread([] {
    EXPECT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    EXPECT_EQ(g_thread, syscall(SYS_gettid));
  }).join();
}

TEST(Signals, GoToAThreadThatDoesNotBlockThem) {
  const Handler handler(SIGUSR1);
  const Blocked blocked(SIGUSR1);
  std::atomic<long> open_thread = 0;
  std::thread other([&] {
    const sigset_t set = set_of(SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    open_thread = syscall(SYS_gettid);
    while (g_count == 0) sched_yield();
  });
  while (open_thread == 0) sched_yield();
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  other.join();
  EXPECT_EQ(g_thread, open_thread);
}

TEST(Signals, CanBeWaitedFor) {
  const Blocked blocked(SIGUSR2);
  const sigset_t set = set_of(SIGUSR2);
  std::thread other([] { EXPECT_EQ(kill(getpid(), SIGUSR2), 0); });
  int number = 0;
  EXPECT_EQ(sigwait(&set, &number), 0);
  EXPECT_EQ(number, SIGUSR2);
  other.join();
  const timespec none{0, 0};
  EXPECT_ERRNO(sigtimedwait(&set, nullptr, &none), EAGAIN);
  EXPECT_EQ(raise(SIGUSR2), 0);
  siginfo_t info{};
  EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGUSR2);
  EXPECT_EQ(info.si_signo, SIGUSR2);
}

TEST(Signals, SuspendSwitchesTheMaskAtOnce) {
  const Handler handler(SIGUSR1);
  const Blocked blocked(SIGUSR1);
  EXPECT_EQ(raise(SIGUSR1), 0);
  EXPECT_EQ(g_count, 0);
  sigset_t none;
  sigemptyset(&none);
  EXPECT_ERRNO(sigsuspend(&none), EINTR);
  EXPECT_EQ(g_count, 1);
}

TEST(Signals, CanBeRead) {
  const Blocked blocked(SIGUSR1);
  const sigset_t set = set_of(SIGUSR1);
  const Fd fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  ASSERT_GE(fd, 0);
  signalfd_siginfo info{};
  EXPECT_ERRNO(read(fd, &info, sizeof info), EAGAIN);
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  pollfd poller{fd, POLLIN, 0};
  EXPECT_EQ(poll(&poller, 1, 0), 1);
  EXPECT_EQ(read(fd, &info, sizeof info), static_cast<ssize_t>(sizeof info));
  EXPECT_EQ(info.ssi_signo, static_cast<uint32_t>(SIGUSR1));
}

TEST(Signals, AnAlarmRings) {
  const Handler handler(SIGALRM);
  const Blocked blocked(SIGALRM);
  const itimerval soon{{0, 0}, {0, 10'000}};
  ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
  sigset_t none;
  sigemptyset(&none);
  EXPECT_ERRNO(sigsuspend(&none), EINTR);
  EXPECT_EQ(g_last, SIGALRM);
}

TEST(Signals, RememberTheAlternateStack) {
  static char memory[64 << 10];
  stack_t stack{}, seen{};
  stack.ss_sp = memory;
  stack.ss_size = sizeof memory;
  ASSERT_EQ(sigaltstack(&stack, nullptr), 0);
  {
    const Handler handler(SIGUSR1, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT_EQ(g_count, 1);
  }
  stack.ss_flags = SS_DISABLE;
  EXPECT_EQ(sigaltstack(&stack, &seen), 0);
  EXPECT_EQ(seen.ss_sp, memory);
  stack.ss_flags = 12345;
  EXPECT_ERRNO(sigaltstack(&stack, nullptr), EINVAL);
}

// A server that forks children to work in is not served: fork() fails as at a process limit, or
// works as natively; it must not do anything else.
TEST(Processes, ForkWorksOrIsRefusedCleanly) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  if (child < 0) {
    EXPECT_TRUE(errno == EAGAIN || errno == ENOSYS) << strerrorname_np(errno);
    return;
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Processes, KnowThemselves) {
  EXPECT_GT(getpid(), 0);
  EXPECT_EQ(getpid(), getpid());
  EXPECT_GT(getppid(), 0);
  EXPECT_EQ(getpid(), static_cast<pid_t>(syscall(SYS_getpid)));
}

}  // namespace
}  // namespace conformance
