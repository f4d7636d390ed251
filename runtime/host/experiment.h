#pragma once
// Diagnosis by re-execution: a stored batch is executed again and again with the bytes that
// differed watched, until it has been seen going wrong, and going right, often enough.
// Threads: one. Memory: the record. Errors: Refusal and Ending, from Lab.
#include <cstdint>
#include <span>

#include "runtime/host/lab.h"
#include "runtime/host/report.pb.h"

namespace evenkeel::host {

struct ExperimentLimits {
  uint64_t time_ns = 8'000'000'000;
  uint32_t executions = 400;
};

// What differs, as addresses: at most wire::kMaxWatched.
[[nodiscard]] std::vector<wire::WatchedRange> watched_ranges(const record::Report& report);

[[nodiscard]] record::Diagnosis diagnose(Lab& lab, std::span<const wire::WatchedRange> ranges,
                                         const ExperimentLimits& limits);

}  // namespace evenkeel::host
