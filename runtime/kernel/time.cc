// Clocks stand still within a batch; sleeping is waiting for a batch whose time has come.
#include <sys/time.h>
#include <time.h>

#include <cerrno>

#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

constexpr uint64_t kSecond_ns = 1'000'000'000;

bool read_clock(int clock, uint64_t& ns) {
  const auto& now = sched::batch_time();
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
      ns = now.realtime_ns;
      return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
      ns = now.monotonic_ns;
      return true;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
      ns = now.cpu_ns;
      return true;
    default:
      ns = now.cpu_ns;
      return clock < 0;  // CPU clock of a given process or thread
  }
}

timespec to_timespec(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecond_ns), static_cast<long>(ns % kSecond_ns)};
}

bool to_ns(const timespec& time, uint64_t& ns) {
  if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= long{kSecond_ns}) return false;
  ns = static_cast<uint64_t>(time.tv_sec) * kSecond_ns + static_cast<uint64_t>(time.tv_nsec);
  return true;
}

long sleep_until(uint64_t deadline_ns, timespec* remaining) {
  if (deadline_ns <= sched::batch_time().monotonic_ns) {
    sched::yield();
    return 0;
  }
  for (;;) {
    sched::lock();
    // A key of its own: nobody wakes a sleeper but its deadline or a signal.
    const auto key = reinterpret_cast<uint64_t>(&sched::self().timer);
    switch (wait_on(key, deadline_ns, false)) {
      case Waited::kTimeout:
        return 0;
      case Waited::kAgain:
        continue;
      case Waited::kInterrupted:
        break;
    }
    const uint64_t now = sched::batch_time().monotonic_ns;
    if (remaining != nullptr) {
      *remaining = to_timespec(deadline_ns > now ? deadline_ns - now : 0);
    }
    return -EINTR;
  }
}

}  // namespace

long sys_clock_gettime(const Call& call) {
  uint64_t ns = 0;
  if (!read_clock(call.integer(0), ns)) return -EINVAL;
  *call.pointer<timespec>(1) = to_timespec(ns);
  return 0;
}

long sys_clock_getres(const Call& call) {
  uint64_t ns = 0;
  if (!read_clock(call.integer(0), ns)) return -EINVAL;
  if (auto* resolution = call.pointer<timespec>(1)) *resolution = {0, 1};
  return 0;
}

long sys_gettimeofday(const Call& call) {
  const uint64_t now = sched::batch_time().realtime_ns;
  if (auto* time = call.pointer<timeval>(0)) {
    *time = {static_cast<time_t>(now / kSecond_ns),
             static_cast<suseconds_t>(now % kSecond_ns / 1000)};
  }
  if (auto* zone = call.pointer<struct timezone>(1)) *zone = {};
  return 0;
}

long sys_time(const Call& call) {
  const auto seconds = static_cast<time_t>(sched::batch_time().realtime_ns / kSecond_ns);
  if (auto* out = call.pointer<time_t>(0)) *out = seconds;
  return seconds;
}

long sys_nanosleep(const Call& call) {
  uint64_t ns = 0;
  if (!to_ns(*call.pointer<const timespec>(0), ns)) return -EINVAL;
  return sleep_until(deadline_after(ns), call.pointer<timespec>(1));
}

long sys_clock_nanosleep(const Call& call) {
  uint64_t ns = 0;
  uint64_t now = 0;
  if (!read_clock(call.integer(0), now)) return -EINVAL;
  if (!to_ns(*call.pointer<const timespec>(2), ns)) return -EINVAL;
  if ((call.integer(1) & TIMER_ABSTIME) == 0) {
    return sleep_until(deadline_after(ns), call.pointer<timespec>(3));
  }
  return sleep_until(ns > now ? deadline_after(ns - now) : 0, nullptr);
}

}  // namespace evenkeel::kernel
