#pragma once
// A replica's state as a file: what another process needs to become that replica, and the batch
// that it was about to execute. Included by runtime/wire.h only.
//
// header, then segments of memory (each at a page boundary of the file), the table of segments
// (ascending addresses, disjoint), and a text of the hosted side's own. Parts of the deck are
// segments at their addresses in the deck. What lies in no segment is zero.
#include <cstdint>
#include <type_traits>

namespace evenkeel::wire {

constexpr uint64_t kStateMagic = 0x6574617453'6b45;  // "EkState"
constexpr uint32_t kStateVersion = 2;
constexpr uint32_t kMaxStateSegments = 1 << 20;  // more: the state is not stored

// Where replicas map files.
constexpr uint64_t kMappedFilesBegin = 0x2e00'0000'0000;
constexpr uint64_t kMappedFilesBytes = uint64_t{1} << 40;

struct StateHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t segment_count;
  uint64_t segments_offset;
  uint64_t text_offset;
  uint64_t text_bytes;
  uint64_t file_bytes;  // of the whole file: fewer means that it was cut
  uint64_t reserved[2];
};

struct StateSegment {
  uint64_t address;
  uint64_t bytes;
  uint64_t offset;
};

static_assert(std::is_trivially_copyable_v<StateHeader> && sizeof(StateHeader) == 64);
static_assert(std::is_trivially_copyable_v<StateSegment> && sizeof(StateSegment) == 24);

}  // namespace evenkeel::wire
