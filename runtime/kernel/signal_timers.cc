// Timers that end in a signal: alarm, setitimer, timer_create.
#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <cstddef>

#include "runtime/core/arena.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/signal_state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/clock.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;
using signals::state;

constexpr uint64_t kSecond_ns = 1'000'000'000;
constexpr uint32_t kMaxTimers = 1024;  // more: EAGAIN, as the kernel's at RLIMIT_SIGPENDING

struct SignalTimer {
  sched::Timer timer;
  bool used;
  int clock;
  int number;       // signal; 0: none (SIGEV_NONE)
  uint32_t target;  // thread slot or kProcess
  int code;
  sigval value;
  int id;
  int overruns;
  uint64_t interval_ns;
};

struct Timers {
  SignalTimer interval;  // alarm() and ITIMER_REAL
  SignalTimer posix[kMaxTimers];
};
constinit Timers* g_timers = nullptr;  // set once by init_signal_timers()

siginfo_t info_of(const SignalTimer& timer) {
  siginfo_t info = {};
  info.si_signo = timer.number;
  info.si_code = timer.code;
  if (timer.code != SI_TIMER) return info;
  info.si_timerid = timer.id;
  info.si_overrun = timer.overruns;
  info.si_value = timer.value;
  return info;
}

void send(const SignalTimer& timer) {
  if (timer.number == 0) return;
  if (timer.target == signals::kProcess) {
    signals::send_to_process(info_of(timer), nullptr);
  } else {
    signals::send_to_thread(sched::thread(sched::ThreadId{timer.target}), info_of(timer));
  }
}

void expire(sched::Timer& expired) {
  auto* bytes = reinterpret_cast<char*>(&expired);
  auto& timer = *reinterpret_cast<SignalTimer*>(bytes - offsetof(SignalTimer, timer));
  timer.overruns = 0;
  if (timer.interval_ns != 0) {
    const uint64_t late_ns = sched::batch_time().monotonic_ns - expired.deadline_ns;
    const uint64_t missed = late_ns / timer.interval_ns;
    timer.overruns = static_cast<int>(missed);
    sched::arm(expired, expired.deadline_ns + (missed + 1) * timer.interval_ns);
  }
  send(timer);
}

// Times out at once never: a setting of 0 disarms.
void set(SignalTimer& timer, uint64_t deadline_ns, uint64_t interval_ns) {
  sched::disarm(timer.timer);
  timer.interval_ns = interval_ns;
  timer.overruns = 0;
  if (deadline_ns != 0) sched::arm(timer.timer, deadline_ns);
}

uint64_t left_ns(const SignalTimer& timer) {
  if (timer.timer.position == 0) return 0;
  const uint64_t now = sched::batch_time().monotonic_ns;
  return timer.timer.deadline_ns > now ? timer.timer.deadline_ns - now : 1;
}

// alarm() and setitimer() count in microseconds, timer_settime() in nanoseconds.
bool from_timeval(const timeval& t, uint64_t& ns) {
  if (t.tv_sec < 0 || t.tv_usec < 0 || t.tv_usec >= 1'000'000) return false;
  ns = static_cast<uint64_t>(t.tv_sec) * kSecond_ns + static_cast<uint64_t>(t.tv_usec) * 1000;
  return true;
}
timeval to_timeval(uint64_t ns) {
  const uint64_t us = (ns + 999) / 1000;
  return {static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
}
bool from_timespec(const timespec& t, uint64_t& ns) {
  if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= long{kSecond_ns}) return false;
  ns = static_cast<uint64_t>(t.tv_sec) * kSecond_ns + static_cast<uint64_t>(t.tv_nsec);
  return true;
}
timespec to_timespec(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecond_ns), static_cast<long>(ns % kSecond_ns)};
}

void read_setting(const SignalTimer& timer, itimerval& out) {
  out = {to_timeval(timer.interval_ns), to_timeval(left_ns(timer))};
}
void read_setting(const SignalTimer& timer, itimerspec& out) {
  out = {to_timespec(timer.interval_ns), to_timespec(left_ns(timer))};
}

SignalTimer* find(int id) {
  if (id < 0 || static_cast<uint32_t>(id) >= kMaxTimers) return nullptr;
  SignalTimer& timer = g_timers->posix[id];
  return timer.used ? &timer : nullptr;
}

// CPU time stands still while a batch runs; nobody could wait for it.
bool supported_clock(int clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
         clock == CLOCK_TAI;
}

uint64_t deadline_of(const SignalTimer& timer, uint64_t value_ns, bool absolute) {
  if (!absolute) return deadline_after(value_ns);
  const auto& now = sched::batch_time();
  if (timer.clock == CLOCK_MONOTONIC || timer.clock == CLOCK_BOOTTIME) return value_ns;
  return value_ns > now.realtime_ns ? now.monotonic_ns + (value_ns - now.realtime_ns)
                                    : now.monotonic_ns;
}

// Where the expiry goes. The thread id in it is virtual.
long configure(SignalTimer& timer, const sigevent* event) {
  timer.target = signals::kProcess;
  timer.code = SI_TIMER;
  timer.number = SIGALRM;
  timer.value.sival_int = timer.id;
  if (event == nullptr) return 0;
  timer.value = event->sigev_value;
  timer.number = event->sigev_notify == SIGEV_NONE ? 0 : event->sigev_signo;
  if (timer.number < 0 || timer.number > signals::kLast) return -EINVAL;
  if (event->sigev_notify != SIGEV_THREAD_ID) return 0;
  const int tid = event->_sigev_un._tid;
  const sched::Thread* thread = thread_of_tid(static_cast<uint32_t>(tid));
  if (thread == nullptr) return -EINVAL;
  timer.target = sched::index_of(thread->id);
  return 0;
}

// Ids are timer numbers above those of threads and below those of timerfds.
void init_timer(SignalTimer& timer, int id) {
  timer.id = id;
  timer.timer.tie = sched::kTimerfdTie - 2 - static_cast<uint32_t>(id);
  timer.timer.expire = expire;
}

}  // namespace

void signals::init_timers() {
  g_timers = arena::create<Timers>();
  static_assert(sched::kTimerfdTie - 2 - kMaxTimers > wire::kMaxThreads);
  init_timer(g_timers->interval, -1);
  g_timers->interval.number = SIGALRM;
  g_timers->interval.target = signals::kProcess;
  g_timers->interval.code = SI_KERNEL;
}

long sys_alarm(const Call& call) {
  OrderedGuard guard(state().version, Tag::kTable);
  SignalTimer& timer = g_timers->interval;
  const uint64_t before_ns = left_ns(timer);
  const uint64_t seconds = call.word(0);
  set(timer, seconds != 0 ? deadline_after(seconds * kSecond_ns) : 0, 0);
  return static_cast<long>((before_ns + kSecond_ns - 1) / kSecond_ns);
}

long sys_setitimer(const Call& call) {
  const auto* wanted = call.pointer<const itimerval>(1);
  const itimerval setting = wanted != nullptr ? *wanted : itimerval{};
  uint64_t value_ns = 0;
  uint64_t interval_ns = 0;
  if (call.word(0) > ITIMER_PROF) return -EINVAL;
  if (!from_timeval(setting.it_value, value_ns)) return -EINVAL;
  if (!from_timeval(setting.it_interval, interval_ns)) return -EINVAL;
  if (call.integer(0) != ITIMER_REAL) {
    count_unhandled("setitimer of processor time");
    return 0;
  }
  OrderedGuard guard(state().version, Tag::kTable);
  SignalTimer& timer = g_timers->interval;
  if (auto* old = call.pointer<itimerval>(2)) read_setting(timer, *old);
  set(timer, value_ns != 0 ? deadline_after(value_ns) : 0, interval_ns);
  return 0;
}

long sys_getitimer(const Call& call) {
  if (call.word(0) > ITIMER_PROF) return -EINVAL;
  auto& out = *call.pointer<itimerval>(1);
  out = {};
  if (call.integer(0) != ITIMER_REAL) return 0;
  OrderedGuard guard(state().version, Tag::kTable);
  read_setting(g_timers->interval, out);
  return 0;
}

long sys_timer_create(const Call& call) {
  const int clock = call.integer(0);
  if (!supported_clock(clock)) {
    count_unhandled("timer_create of processor time");
    return -ENOTSUP;
  }
  OrderedGuard guard(state().version, Tag::kTable);
  int id = 0;
  while (id < int{kMaxTimers} && g_timers->posix[id].used) ++id;
  if (id == int{kMaxTimers}) return -EAGAIN;
  SignalTimer& timer = g_timers->posix[id];
  timer = {};
  init_timer(timer, id);
  timer.clock = clock;
  const long bad = configure(timer, call.pointer<const sigevent>(1));
  if (bad != 0) return bad;
  timer.used = true;
  *call.pointer<int>(2) = id;
  return 0;
}

long sys_timer_settime(const Call& call) {
  const auto& setting = *call.pointer<const itimerspec>(2);
  uint64_t value_ns = 0;
  uint64_t interval_ns = 0;
  if (!from_timespec(setting.it_value, value_ns)) return -EINVAL;
  if (!from_timespec(setting.it_interval, interval_ns)) return -EINVAL;
  OrderedGuard guard(state().version, Tag::kTable);
  SignalTimer* timer = find(call.integer(0));
  if (timer == nullptr) return -EINVAL;
  if (auto* old = call.pointer<itimerspec>(3)) read_setting(*timer, *old);
  const bool absolute = (call.integer(1) & TIMER_ABSTIME) != 0;
  set(*timer, value_ns != 0 ? deadline_of(*timer, value_ns, absolute) : 0, interval_ns);
  return 0;
}

long sys_timer_gettime(const Call& call) {
  OrderedGuard guard(state().version, Tag::kTable);
  const SignalTimer* timer = find(call.integer(0));
  if (timer == nullptr) return -EINVAL;
  read_setting(*timer, *call.pointer<itimerspec>(1));
  return 0;
}

long sys_timer_getoverrun(const Call& call) {
  OrderedGuard guard(state().version, Tag::kTable);
  const SignalTimer* timer = find(call.integer(0));
  return timer == nullptr ? -EINVAL : timer->overruns;
}

long sys_timer_delete(const Call& call) {
  OrderedGuard guard(state().version, Tag::kTable);
  SignalTimer* timer = find(call.integer(0));
  if (timer == nullptr) return -EINVAL;
  set(*timer, 0, 0);
  timer->used = false;
  return 0;
}

}  // namespace evenkeel::kernel
