#include "runtime/sync/deadline.h"

#include <cerrno>

#include "runtime/sched/clock.h"

namespace evenkeel::sync {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

// Times before the epoch are past; those beyond 2^64 ns (the year 2554) never come.
uint64_t to_ns(const timespec& time) {
  uint64_t ns = 0;
  if (time.tv_sec < 0) return 0;
  const bool overflow =
      __builtin_mul_overflow(static_cast<uint64_t>(time.tv_sec), uint64_t{kNsPerSecond}, &ns) ||
      __builtin_add_overflow(ns, static_cast<uint64_t>(time.tv_nsec), &ns);
  return overflow ? sched::kNoDeadline : ns;
}

}  // namespace

bool supported_clock(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

bool valid_time(const timespec& time) {
  return static_cast<uint64_t>(time.tv_nsec) < static_cast<uint64_t>(kNsPerSecond);
}

Deadline deadline_at(clockid_t clock, const timespec& time) {
  if (!valid_time(time)) return {0, EINVAL};
  const sched::BatchTime& now = sched::batch_time();
  const uint64_t now_ns = clock == CLOCK_REALTIME ? now.realtime_ns : now.monotonic_ns;
  const uint64_t then_ns = to_ns(time);
  if (then_ns <= now_ns) return {0, ETIMEDOUT};
  uint64_t deadline_ns = 0;
  if (__builtin_add_overflow(now.monotonic_ns, then_ns - now_ns, &deadline_ns)) {
    deadline_ns = sched::kNoDeadline;
  }
  return {deadline_ns, ETIMEDOUT};
}

}  // namespace evenkeel::sync
