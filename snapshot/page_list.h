#pragma once
// The pages written since the last commit or rollback: what the tracker reports, merged with the
// hot pages and with what an earlier collect() of the same batch found.
//
// Threads: the pump. Memory: two arrays in the book, sparse. Errors: none; kMaxDirtyPages is fatal.
#include <cstddef>
#include <cstdint>

#include "snapshot/snapshot.h"

namespace evenkeel::snapshot {

// 64 Mi pages x 16 B = 1 GiB of address space for 256 GiB dirtied in one batch.
constexpr uint64_t kMaxDirtyPages = uint64_t{1} << 26;

class PageList {
 public:
  void allocate();

  void begin_collect();
  // Ascending; from the tracker and from the hot list.
  void append(uint64_t address, Kind kind, bool hot);
  // Pending pages become the union of pending and fresh ones; flags of fresh ones win.
  void merge_fresh();

  [[nodiscard]] DirtyPage* begin() { return pending_; }
  [[nodiscard]] DirtyPage* end() { return pending_ + pending_count_; }
  [[nodiscard]] size_t size() const { return pending_count_; }
  void clear();
  // What the last clear() took away; until begin_collect().
  [[nodiscard]] const DirtyPage* cleared_begin() const { return pending_; }
  [[nodiscard]] const DirtyPage* cleared_end() const { return pending_ + cleared_count_; }
  void erase(Range range);  // a region that is being removed

 private:
  size_t merge_into(DirtyPage* out) const;

  DirtyPage* pending_ = nullptr;
  DirtyPage* fresh_ = nullptr;
  DirtyPage* spare_ = nullptr;
  size_t pending_count_ = 0;
  size_t fresh_count_ = 0;
  size_t cleared_count_ = 0;
  size_t peak_count_ = 0;
};

}  // namespace evenkeel::snapshot
