#pragma once
// Geometric steps: 1, 2, ... 8, then four per doubling (10, 12, 14, 16, 20, ...). One rule sizes
// objects (in units of 16 bytes), metadata blocks (64 bytes) and page runs (pages). Rounding up to
// a step wastes less than a fifth of the step.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::heap {

// The smallest step that is >= n. n >= 1.
constexpr uint32_t step_of(uint64_t n) {
  if (n <= 8) return static_cast<uint32_t>(n - 1);
  const uint64_t last = n - 1;
  const auto log2 = static_cast<uint32_t>(63 - __builtin_clzll(last));
  return 8 + (log2 - 3) * 4 + (static_cast<uint32_t>(last >> (log2 - 2)) & 3);
}

constexpr uint64_t step_size(uint32_t step) {
  if (step < 8) return step + 1;
  const uint32_t doubling = (step - 8) / 4;
  return (uint64_t{8} << doubling) + (((step - 8) % 4) + 1) * (uint64_t{2} << doubling);
}

// ---------------------------------------------------------------- objects

constexpr uint64_t kMaxSmallBytes = 32 << 10;  // larger objects are page runs of their own
constexpr uint32_t kSizeClasses = step_of(kMaxSmallBytes / 16) + 1;
constexpr uint32_t kMaxSlots = 1016;  // (56 + 1016 x 8) bytes fill an 8 KiB metadata block
constexpr uint32_t kMaxSpanPages = 32;

struct SizeClass {
  uint32_t bytes;
  // offset / bytes == offset * reciprocal >> 32, exact while offset x bytes < 2^32.
  uint32_t reciprocal;
  uint32_t min_pages;  // a lane's first span of the class; wastes at most 1/8 at its end
  uint32_t max_pages;  // spans double up to this, while the lane needs more of them
};

// By number of 16-byte units: a load where step_of() would be branches that mixed sizes mispredict.
struct UnitClassTable {
  uint8_t classes[kMaxSmallBytes / 16 + 1];

  constexpr UnitClassTable() : classes() {
    for (uint32_t units = 1; units <= kMaxSmallBytes / 16; ++units) {
      classes[units] = static_cast<uint8_t>(step_of(units));
    }
  }
};
constexpr UnitClassTable kUnitClassTable;

// bytes <= kMaxSmallBytes; 0 has the class of 1.
constexpr uint32_t size_class_of(size_t bytes) {
  return kUnitClassTable.classes[(bytes + 15) / 16];
}

struct SizeClassTable {
  SizeClass classes[kSizeClasses];

  constexpr SizeClassTable() : classes() {
    for (uint32_t i = 0; i < kSizeClasses; ++i) {
      const auto bytes = static_cast<uint32_t>(step_size(i) * 16);
      uint32_t pages = 1;
      while (pages * kPageBytes < bytes || pages * kPageBytes % bytes * 8 > pages * kPageBytes) {
        ++pages;
      }
      // 64 KiB, or 128 KiB for objects beyond 8 KiB, or as much as kMaxSlots can (nearly) fill.
      uint32_t limit = bytes <= 8192 ? 16 : kMaxSpanPages;
      while (limit * kPageBytes / bytes > 1024) limit /= 2;
      uint32_t most = pages;
      while (most * 2 <= limit) most *= 2;
      classes[i] = {bytes, static_cast<uint32_t>(((uint64_t{1} << 32) + bytes - 1) / bytes), pages,
                    most};
    }
  }
};
constexpr SizeClassTable kSizeClassTable;

static_assert(step_size(kSizeClasses - 1) * 16 == kMaxSmallBytes);
static_assert(kMaxSmallBytes * kMaxSpanPages * kPageBytes <= uint64_t{1} << 32);  // reciprocal

// ---------------------------------------------------------------- metadata blocks

constexpr uint64_t kBlockUnitBytes = 64;
constexpr uint64_t kMaxBlockBytes = 8192;
constexpr uint32_t kBlockSteps = step_of(kMaxBlockBytes / kBlockUnitBytes) + 1;
constexpr uint32_t block_step_of(uint64_t bytes) {
  return step_of((bytes + kBlockUnitBytes - 1) / kBlockUnitBytes);
}
constexpr uint64_t block_bytes(uint32_t step) { return step_size(step) * kBlockUnitBytes; }

// ---------------------------------------------------------------- page runs

constexpr uint64_t kArenaPages = kHeapArena.bytes / kPageBytes;
constexpr uint32_t kRunSteps = step_of(kArenaPages) + 1;

}  // namespace evenkeel::heap
