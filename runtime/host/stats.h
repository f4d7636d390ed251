#pragma once
// What the coordinator counts. Cumulative over the run; times in nanoseconds of CLOCK_MONOTONIC.
#include <cstdint>

#include "runtime/host/histogram.h"

namespace evenkeel::host {

struct Stats {
  uint64_t batches = 0;
  uint64_t requests = 0;      // reads from clients that brought data: pipelined requests count once
  uint64_t divergences = 0;   // batches whose first execution did not agree
  uint64_t rollbacks = 0;     // times all replicas restored the image
  uint64_t reexecutions = 0;  // batches run again sequentially
  uint64_t leaks = 0;         // differences even then
  uint64_t faults = 0;        // crashes, hangs, replicas that died
  uint64_t poisoned = 0;      // of the faults: inputs that crash even alone
  uint64_t forced = 0;        // of the divergences: by --force-mismatch
  uint64_t rejoins = 0;       // lost replicas that were replaced
  uint64_t suspects = 0;      // batches that agreed, executed again because of the guard
  uint64_t guard_learnt = 0;  // interleavings that count as harmless now
  uint64_t guard_unchecked = 0;  // parallel groups that it could not check
  uint64_t dirty_pages = 0;      // hashed pages that differed from the image, summed over batches

  uint64_t groups = 0;              // parallel groups made by the mixer
  uint64_t mixed_requests = 0;      // requests that it found
  uint64_t unknown_footprints = 0;  // inputs of which it could not tell what they touch
  uint64_t mixer_learnt = 0;        // conflicts that it keeps apart because of divergences

  uint64_t deadlocks = 0;        // of the faults
  uint64_t lost_wakeups = 0;     // of the faults
  uint64_t suspected_waits = 0;  // executions repeated to find out whether a wake-up was lost

  uint64_t idle_ns = 0;     // in epoll, nothing to do
  uint64_t read_ns = 0;     // accepting, reading
  uint64_t wait_ns = 0;     // replicas at work
  uint64_t release_ns = 0;  // sending
  uint64_t mix_ns = 0;      // finding footprints and groups
  uint64_t join_ns = 0;     // service stood still for a replacement to take the state

  Histogram batch_ns;      // from a batch's start to the release of its answers
  Histogram group_inputs;  // inputs of a parallel group
  uint64_t primary = 0;    // index of the replica
};

}  // namespace evenkeel::host
