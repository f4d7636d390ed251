#pragma once
// File calls, executed once for all replicas. Included by runtime/wire.h only.
#include <atomic>
#include <cstdint>

namespace evenkeel::wire {

// File-system calls that see or change what lies outside the replicas (open, stat, unlink, rename,
// ...). The primary executes each once and publishes the answer; the followers take it from here.
// When a batch is rolled back the answers stay: the primary's re-execution finds those it asks for
// again (same operation and arguments) and does not repeat them. The primary clears the list when
// it commits, before it stores log_sequence. Only replicas read or write it.
// 64 Ki calls between commits (a start-up that reads tens of thousands of files); more: the call
// fails with ENOSPC, in all replicas alike.
constexpr uint32_t kMaxFileMemos = 65536;
constexpr uint32_t kFileMemoBytes = 32 << 20;  // payloads: 144 B for a stat; full: as above

enum class FileOp : uint32_t {
  kOpen = 1,
  kStat,
  kStatx,
  kStatfs,
  kAccess,
  kReadlink,
  kDirectory,  // entries of a directory
  kUnlink,
  kRename,
  kMkdir,
  kLink,
  kSymlink,
  kMknod,
  kChmod,
  kChown,
  kUtimens,
  kLock,
  kRead,   // content that the kernel generates: /proc, /sys
  kSize,   // a file's size when a batch first depends on it
  kFlush,  // pending writes beyond the limit went to the file before the batch was agreed
};

struct FileMemo {
  // Command during which the primary last gave this answer; stored last (release). 0: in the
  // making.
  std::atomic<uint32_t> sequence;
  FileOp op;
  uint32_t thread;
  uint32_t index;      // of the call within its thread
  uint64_t arguments;  // digest of them
  int64_t result;      // >= 0 or -errno
  uint32_t payload_offset;
  uint32_t payload_bytes;
  uint32_t payload_room;
  uint32_t reserved[3];
};

struct FileMemos {
  alignas(64) std::atomic<uint32_t> published;  // futex: bumped with each answer
  std::atomic<uint32_t> waiters;                // followers asleep on it
  std::atomic<uint32_t> count;
  std::atomic<uint32_t> overflow;  // 1: the list was full; every later call fails
  uint32_t payload_used;           // primary only
  alignas(64) FileMemo memos[kMaxFileMemos];
  alignas(64) uint8_t payload[kFileMemoBytes];
};
static_assert(sizeof(FileMemo) == 56);

}  // namespace evenkeel::wire
