#pragma once
// Virtual time: the batch's, the same in every replica, standing still while a batch runs.
// Written by the pump before threads run (release by the kernel lock), read by anybody.
#include <cstdint>

namespace evenkeel::sched {

struct BatchTime {
  uint64_t batch;         // number
  uint64_t monotonic_ns;  // CLOCK_MONOTONIC, CLOCK_BOOTTIME and coarse forms
  uint64_t realtime_ns;   // CLOCK_REALTIME, CLOCK_TAI and coarse forms
  uint64_t cpu_ns;        // CPU-time clocks and getrusage
  uint64_t seed;          // of random bytes in this batch
};

[[nodiscard]] const BatchTime& batch_time();
void set_batch_time(const BatchTime& time);

}  // namespace evenkeel::sched
