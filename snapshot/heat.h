#pragma once
// Which pages are worth leaving unprotected.
//
// A write fault costs about 0.85 us; an unprotected page costs about 0.25 us of scanning (its own
// kernel mapping) and a comparison, and 7 us to begin and end. So a page dirty in more than half of
// the batches gains, and one dirty in less loses: its score moves up by one with every batch in
// which it was written and down by one with every batch in which it was not.
//
// Threads: the pump. Memory: static, 128 KiB + 16 KiB. Errors: none: a full table means fewer hot
// pages.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::snapshot {

constexpr uint32_t kPromoteScore = 16;  // net dirty batches before a page becomes hot
constexpr uint32_t kQuietBatches = 64;  // equal to its image so often in a row: no longer hot
constexpr size_t kMaxHotPages = 1024;   // each may be a mapping of its own: 65530 per process

class Heat {
 public:
  // A protected page was written in `batch`. True: make it hot.
  bool written(uint64_t page, uint32_t batch);
  void clear();

 private:
  struct Entry {
    uint64_t page;
    uint32_t batch;
    uint32_t score;
  };
  // Direct mapped: 8192 x 16 B. A colliding page waits until the older one has cooled down.
  static constexpr size_t kEntriesLog2 = 13;
  Entry entries_[size_t{1} << kEntriesLog2] = {};
};

struct HotPage {
  uint64_t address;
  uint32_t quiet_batches;
};

// Sorted by address.
class HotPages {
 public:
  bool insert(uint64_t address);  // false: full
  void erase_at(size_t index);
  void erase(Range range);
  void clear() { count_ = 0; }
  [[nodiscard]] size_t size() const { return count_; }
  [[nodiscard]] HotPage& at(size_t index) { return pages_[index]; }
  // The first at or above `address`; size() if none.
  [[nodiscard]] size_t from(uint64_t address) const;

 private:
  size_t count_ = 0;
  HotPage pages_[kMaxHotPages] = {};
};

}  // namespace evenkeel::snapshot
