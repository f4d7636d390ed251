#include "verify/ranges.h"

#include <cstring>

namespace evenkeel::verify {

void Ranges::clear(uint64_t capacity) {
  count_ = recent_ = 0;
  next_position_ = 0;
  capacity_ = capacity;
}

// The first range that ends above `address`.
size_t Ranges::index_from(uint64_t address) const {
  size_t low = 0;
  size_t high = count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (placed_[middle].range.end() <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

sys::Result Ranges::add(Range range) {
  if (range.bytes == 0 || range.begin % kPageBytes != 0 || range.bytes % kPageBytes != 0) {
    return sys::Result(-EINVAL);
  }
  const size_t slot = index_from(range.begin);
  if (slot < count_ && placed_[slot].range.begin < range.end()) return sys::Result(-EEXIST);
  const uint64_t pages = range.bytes / kPageBytes;
  if (count_ == kMaxRanges || pages > capacity_ - next_position_) return sys::Result(-ENOSPC);
  memmove(&placed_[slot + 1], &placed_[slot], (count_ - slot) * sizeof(Placed));
  placed_[slot] = {range, next_position_};
  next_position_ += pages;
  ++count_;
  return sys::Result(0);
}

sys::Result Ranges::remove(Range range) {
  const size_t slot = index_from(range.begin);
  if (slot == count_ || placed_[slot].range.begin != range.begin ||
      placed_[slot].range.bytes != range.bytes) {
    return sys::Result(-ENOENT);
  }
  memmove(&placed_[slot], &placed_[slot + 1], (count_ - slot - 1) * sizeof(Placed));
  --count_;
  recent_ = 0;
  return sys::Result(0);
}

uint64_t Ranges::position(uint64_t page) {
  if (recent_ >= count_ || !placed_[recent_].range.contains(page)) {
    recent_ = index_from(page);
    if (recent_ == count_ || !placed_[recent_].range.contains(page)) return kNowhere;
  }
  const Placed& placed = placed_[recent_];
  return placed.first + (page - placed.range.begin) / kPageBytes;
}

}  // namespace evenkeel::verify
