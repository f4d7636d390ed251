#pragma once
// So many events within any minute, and no more.
#include <cstddef>
#include <cstdint>
#include <deque>

#include "runtime/host/clock.h"

namespace evenkeel::host {

class RateLimit {
 public:
  explicit RateLimit(uint64_t per_minute) : per_minute_(per_minute) {}

  // True: the event is within the limit, and counts.
  [[nodiscard]] bool admit(uint64_t now_ns) {
    while (!admitted_.empty() && now_ns - admitted_.front() >= 60 * kNsPerSecond) {
      admitted_.pop_front();
    }
    if (admitted_.size() >= per_minute_) return false;
    admitted_.push_back(now_ns);
    return true;
  }

 private:
  uint64_t per_minute_;
  std::deque<uint64_t> admitted_;  // times, oldest first
};

}  // namespace evenkeel::host
