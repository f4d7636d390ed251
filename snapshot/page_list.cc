#include "snapshot/page_list.h"

#include <sys/mman.h>

#include <utility>

#include "runtime/core/check.h"
#include "snapshot/region.h"

namespace evenkeel::snapshot {

void PageList::allocate() {
  const auto array = [] {
    return static_cast<DirtyPage*>(book_allocate(kMaxDirtyPages * sizeof(DirtyPage)));
  };
  pending_ = array();
  fresh_ = array();
  spare_ = array();
  pending_count_ = fresh_count_ = peak_count_ = 0;
}

void PageList::append(uint64_t address, Kind kind, bool hot) {
  EVENKEEL_CHECK(fresh_count_ < kMaxDirtyPages);
  EVENKEEL_CHECK(fresh_count_ == 0 || fresh_[fresh_count_ - 1].address < address);
  fresh_[fresh_count_++] = {.address = address, .kind = kind, .unchanged = false, .hot = hot};
}

void PageList::merge_fresh() {
  if (pending_count_ == 0) {
    std::swap(pending_, fresh_);
    pending_count_ = fresh_count_;
  } else if (fresh_count_ != 0) {
    pending_count_ = merge_into(spare_);
    std::swap(pending_, spare_);
  }
  fresh_count_ = 0;
  if (pending_count_ > peak_count_) peak_count_ = pending_count_;
}

size_t PageList::merge_into(DirtyPage* out) const {
  EVENKEEL_CHECK(pending_count_ + fresh_count_ <= kMaxDirtyPages);
  size_t old = 0;
  size_t count = 0;
  for (size_t i = 0; i < fresh_count_; ++i) {
    while (old < pending_count_ && pending_[old].address < fresh_[i].address) {
      out[count++] = pending_[old++];
    }
    if (old < pending_count_ && pending_[old].address == fresh_[i].address) ++old;
    out[count++] = fresh_[i];
  }
  while (old < pending_count_) out[count++] = pending_[old++];
  return count;
}

void PageList::begin_collect() {
  fresh_count_ = 0;
  cleared_count_ = 0;
  // After a batch that dirtied very much (start-up) the arrays would stay resident for ever.
  constexpr size_t kKeepPages = 65536;  // x 16 B = 1 MiB an array
  if (peak_count_ <= kKeepPages || pending_count_ != 0) return;
  for (DirtyPage* array : {pending_, fresh_, spare_}) {
    // Failure costs memory only.
    sys::madvise(array, page_ceil(peak_count_ * sizeof(DirtyPage)), MADV_DONTNEED).ignore();
  }
  peak_count_ = 0;
}

void PageList::clear() {
  cleared_count_ = pending_count_;
  pending_count_ = 0;
}

void PageList::erase(Range range) {
  size_t kept = 0;
  for (size_t i = 0; i < pending_count_; ++i) {
    if (!range.contains(pending_[i].address)) pending_[kept++] = pending_[i];
  }
  pending_count_ = kept;
}

}  // namespace evenkeel::snapshot
