#pragma once
// How long an operation may wait: absolute times of the application in the scheduler's terms.
// Virtual time stands still during a batch, so a deadline is past at the call or at no time before
// the next batch begins.
#include <cstdint>
#include <ctime>

#include "runtime/sched/thread.h"

namespace evenkeel::sync {

struct Deadline {
  uint64_t monotonic_ns;  // sched::kNoDeadline: for ever; 0: may not wait at all
  int error;              // what the operation returns when it may wait no longer
  [[nodiscard]] bool may_wait() const { return monotonic_ns != 0; }
  [[nodiscard]] bool for_ever() const { return monotonic_ns == sched::kNoDeadline; }
};

constexpr Deadline kForEver{sched::kNoDeadline, 0};
constexpr Deadline try_only(int error) { return {0, error}; }

[[nodiscard]] bool supported_clock(clockid_t clock);
[[nodiscard]] bool valid_time(const timespec& time);

// `clock` is supported. EINVAL for an invalid time, ETIMEDOUT for one that is past: these count
// only if the operation would have to wait.
[[nodiscard]] Deadline deadline_at(clockid_t clock, const timespec& time);

}  // namespace evenkeel::sync
