#pragma once
// Which address ranges a scan walks, and how.
//
// The kernel has two ways to look for written pages. The careful one tells pages that exist from
// those that do not, at 2.8 ns per entry of a page table and 38 ns per existing page. The quick one
// costs 1.8 ns per entry, but an entry that was never used counts as written. So blocks (of one
// page table) with enough pages are *sealed*: their unused entries are write-protected too, once,
// and the quick way then reports what was written and nothing else. Blocks without pages have no
// page table; the careful way passes them for nothing, the quick one would make them one.
//
// A call costs 870 ns, and 17 us for an arena of 4 TiB of which a little is used: so the plan
// follows the used ranges, and joins those that are near each other.
//
// Threads: the pump. Memory: the book. Errors: none: too many spans are joined.
#include <cstddef>
#include <cstdint>

#include "snapshot/region.h"

namespace evenkeel::snapshot {

struct Span {
  uint64_t begin;
  uint64_t end;
  bool quick;  // lies in one region; to be scanned once all its blocks are sealed
};

class ScanPlan {
 public:
  void allocate();
  // From the region table, the used ranges and the images, as they are now.
  void build();
  [[nodiscard]] const Span* begin() const { return spans_; }
  [[nodiscard]] const Span* end() const { return spans_ + count_; }

 private:
  void add(uint64_t begin, uint64_t end, bool quick);
  void add_used(const Region& region, Range used);

  Span* spans_ = nullptr;
  size_t count_ = 0;
};

}  // namespace evenkeel::snapshot
