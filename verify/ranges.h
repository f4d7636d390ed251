#pragma once
// From a page's address to its position in the tree.
// Threads: the pump. Memory: static. Errors: ENOSPC, EEXIST, ENOENT.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/sys.h"

namespace evenkeel::verify {

constexpr size_t kMaxRanges = 2048;  // as many as snapshot has regions

class Ranges {
 public:
  static constexpr uint64_t kNowhere = UINT64_MAX;

  // `capacity`: positions that exist.
  void clear(uint64_t capacity);
  sys::Result add(Range range);
  sys::Result remove(Range range);
  // kNowhere if no range has the page. Ascending queries are cheap.
  [[nodiscard]] uint64_t position(uint64_t page);

 private:
  struct Placed {
    Range range;
    uint64_t first;  // position of range.begin
  };
  [[nodiscard]] size_t index_from(uint64_t address) const;

  size_t count_ = 0;
  size_t recent_ = 0;
  uint64_t next_position_ = 0;
  uint64_t capacity_ = 0;
  Placed placed_[kMaxRanges] = {};  // by address
};

}  // namespace evenkeel::verify
