#include "snapshot/heat.h"

#include <cstring>

namespace evenkeel::snapshot {

bool Heat::written(uint64_t page, uint32_t batch) {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;  // Fibonacci hashing
  Entry& entry = entries_[(page / kPageBytes * kGolden) >> (64 - kEntriesLog2)];
  // Batch numbers wrap around; the difference does not care.
  const uint32_t missed = entry.page == page ? batch - entry.batch - 1 : batch - entry.batch;
  const uint32_t cooled = entry.score > missed ? entry.score - missed : 0;
  if (entry.page != page) {
    if (cooled != 0) return false;
    entry = {.page = page, .batch = batch, .score = 1};
    return false;
  }
  entry.batch = batch;
  entry.score = cooled + 1;
  if (entry.score < kPromoteScore) return false;
  entry.score = 0;
  return true;
}

void Heat::clear() { memset(entries_, 0, sizeof(entries_)); }

size_t HotPages::from(uint64_t address) const {
  size_t low = 0;
  size_t high = count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (pages_[middle].address < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool HotPages::insert(uint64_t address) {
  if (count_ == kMaxHotPages) return false;
  const size_t slot = from(address);
  memmove(&pages_[slot + 1], &pages_[slot], (count_ - slot) * sizeof(HotPage));
  pages_[slot] = {.address = address, .quiet_batches = 0};
  ++count_;
  return true;
}

void HotPages::erase_at(size_t index) {
  memmove(&pages_[index], &pages_[index + 1], (count_ - index - 1) * sizeof(HotPage));
  --count_;
}

void HotPages::erase(Range range) {
  size_t kept = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (!range.contains(pages_[i].address)) pages_[kept++] = pages_[i];
  }
  count_ = kept;
}

}  // namespace evenkeel::snapshot
