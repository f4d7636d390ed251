// Objects beyond kMaxSmallBytes, or aligned beyond a page: each a run of pages of its own.
#include "runtime/core/heap_state.h"

namespace evenkeel::heap {
namespace {

// Enough for release() (the start) and for object_at(), which looks back within one segment. All
// pages of a 1 GiB object would be 2 MiB of page map.
void map_large(Span* span, uint64_t from_page) {
  const uint64_t end = page_of(span->begin) + span->pages;
  for (uint64_t page = from_page; page < end; page = (page / kSegmentPages + 1) * kSegmentPages) {
    map_set(page, span);
  }
}

void claim_pages(uint64_t first, uint64_t pages) {
  zero_touched(first, pages);
  set_touched(first, pages);
}

bool grow_large(Lane& lane, Span* span, uint64_t pages) {
  const uint64_t end = page_of(span->begin) + span->pages;
  const uint64_t more = pages - span->pages;
  if (!take_run_at(lane, end, more)) return false;
  claim_pages(end, more);
  span->pages = static_cast<uint32_t>(pages);
  map_large(span, (end + kSegmentPages - 1) / kSegmentPages * kSegmentPages);
  return true;
}

}  // namespace

void* allocate_large(Lane& lane, size_t bytes, size_t alignment) {
  if (bytes > kHeapArena.bytes) return nullptr;
  if (alignment > kHeapArena.bytes) return nullptr;
  const uint64_t pages = bytes == 0 ? 1 : page_ceil(bytes) / kPageBytes;
  Span* const span = alloc_block(lane, sizeof(Span));
  if (span == nullptr) return nullptr;
  const uint64_t first = take_run(lane, pages, alignment > kPageBytes ? alignment / kPageBytes : 1);
  if (first == kNoPage) {
    free_block(lane, span);
    return nullptr;
  }
  claim_pages(first, pages);
  span->begin = address_of(first);
  span->pages = static_cast<uint32_t>(pages);
  span->lane = static_cast<uint16_t>(index_of(lane));
  span->size_class = kLargeClass;
  span->large.bytes = bytes;
  span->kind = Kind::kLarge;
  store_word(span, 0, Word::live(0, ++lane.sequence));
  map_large(span, first);
  return reinterpret_cast<void*>(span->begin);
}

void release_large(Lane& lane, Span* span, Word word) {
  note_free(lane, span->begin);
  store_word(span, 0, word.freed(kNoSlot));
  span->kind = Kind::kDead;
  // Buried first: that gives back a block, which the free run can use.
  bury(lane, span);
  free_run(lane, page_of(span->begin), span->pages, Phase::kDirty);
}

bool resize_large(Lane& lane, Span* span, size_t bytes) {
  if (bytes <= kMaxSmallBytes) return false;
  if (bytes > kHeapArena.bytes) return false;
  const uint64_t pages = page_ceil(bytes) / kPageBytes;
  if (pages > span->pages) {
    if (!grow_large(lane, span, pages)) return false;
  } else if (pages < span->pages) {
    const uint64_t tail = page_of(span->begin) + pages;
    const uint64_t less = span->pages - pages;
    span->pages = static_cast<uint32_t>(pages);
    free_run(lane, tail, less, Phase::kDirty);
  }
  span->large.bytes = bytes;
  return true;
}

}  // namespace evenkeel::heap
