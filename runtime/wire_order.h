#pragma once
// The order log: in which order the primary's threads passed their ordered operations. Included by
// runtime/wire.h only.
#include <atomic>
#include <cstdint>

namespace evenkeel::wire {

constexpr uint32_t kMaxThreads = 4096;  // more: clone() fails with EAGAIN, as at RLIMIT_NPROC

// The primary appends, followers read. Thread logs are chains of segments; all are reset by the
// primary when it starts a command, which it tells by log_sequence.
constexpr uint32_t kSegmentEntries = 1024;
constexpr uint32_t kMaxSegments = 32768;  // 32 Mi entries a batch; more: overflow, the rest of
                                          // the batch runs unordered and is repaired if it differs
constexpr uint32_t kMaxThreadSegments = 4096;  // 4 Mi entries a thread and batch; more: overflow

struct OrderEntry {
  // (version << 8 | tag): the version word that the operation saw in its object, and a tag of the
  // kind of operation.
  uint32_t what;
  uint32_t reserved;
  uint64_t object;  // address of the version word, the same in all replicas; 0: takes no turn
};
struct ThreadLog {
  // (command sequence << 32 | entries). A stale sequence means empty.
  std::atomic<uint64_t> published;
  uint32_t segment[kMaxThreadSegments];
};
struct OrderLog {
  std::atomic<uint32_t> segments_used;
  // 1: the log is full, or (set by the coordinator, which then bumps and wakes log_quiet) the
  // primary died: followers run the rest of the batch unordered.
  std::atomic<uint32_t> overflow;
  // (command sequence << 32 | groups): how often the primary has been quiescent in this command.
  std::atomic<uint64_t> groups;
  OrderEntry entry[kMaxSegments][kSegmentEntries];
  ThreadLog thread[kMaxThreads];
};

}  // namespace evenkeel::wire
