#include "snapshot/scan_plan.h"

#include <algorithm>

#include "snapshot/bits.h"

namespace evenkeel::snapshot {
namespace {

constexpr uint64_t kBlockBytes = 2 << 20;  // one page table
constexpr uint64_t kBlockPages = kBlockBytes / kPageBytes;
// Of 512. The rest is reported once, for about 1.5 us a page.
constexpr uint64_t kDensePages = 448;
// Two more calls (1.5 us) must be saved: 8 blocks x 512 x 1.3 ns = 5 us.
constexpr uint64_t kMinDenseBytes = 8 * kBlockBytes;
// 32 holes x 16 ns: less than a call.
constexpr uint64_t kJoinBytes = 32 * kBlockBytes;
// A used range that says nothing is not searched for dense blocks: that reads its bitmap.
constexpr uint64_t kMaxSearchedBytes = 64 * kGiB;
constexpr size_t kMaxSpans = 65536;  // x 24 B

bool is_dense(const Region& region, uint64_t block) {
  const uint64_t* words = region.has_image + region.page_index(block) / kBitsPerWord;
  uint64_t pages = 0;
  for (uint64_t i = 0; i < kBlockPages / kBitsPerWord; ++i) pages += count_bits(words[i]);
  return pages >= kDensePages;
}

}  // namespace

void ScanPlan::allocate() {
  spans_ = static_cast<Span*>(book_allocate(kMaxSpans * sizeof(Span)));
  count_ = 0;
}

void ScanPlan::add(uint64_t begin, uint64_t end, bool dense) {
  if (begin == end) return;
  if (count_ != 0) {
    Span& last = spans_[count_ - 1];
    const bool near = !dense && !last.dense && begin - last.end < kJoinBytes;
    if (near || count_ == kMaxSpans) {
      last.end = end;
      last.dense = false;  // holes are in between now
      return;
    }
  }
  spans_[count_++] = {begin, end, dense};
}

void ScanPlan::add_used(const Region& region, Range used) {
  // Blocks must not straddle words of the bitmap; arenas are aligned.
  if (region.range.begin % kBlockBytes != 0 || used.bytes > kMaxSearchedBytes) {
    return add(used.begin, used.end(), false);
  }
  uint64_t done = used.begin;
  uint64_t block = (used.begin + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  while (block + kMinDenseBytes <= used.end()) {
    uint64_t end = block;
    while (end + kBlockBytes <= used.end() && is_dense(region, end)) end += kBlockBytes;
    if (end - block >= kMinDenseBytes) {
      add(done, block, false);
      add(block, end, true);
      done = end;
    }
    block = end + kBlockBytes;
  }
  add(done, used.end(), false);
}

void ScanPlan::build() {
  count_ = 0;
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    for_each_used(region, [this, &region](Range used) { add_used(region, used); });
  }
}

}  // namespace evenkeel::snapshot
