// Free runs of a lane: found by size in bins, coalesced by tags at both ends in the page map. Runs
// may span segments that follow one another; they never leave their lane.
#include "runtime/core/heap_state.h"

namespace evenkeel::heap {
namespace {

constexpr uint32_t kBinProbes = 8;  // runs of its own bin that may be too small for a request

void bin_insert(Lane& lane, Span* run) {
  const uint32_t bin = step_of(run->pages);
  run->prev = nullptr;
  run->next = lane.runs[bin];
  if (run->next != nullptr) run->next->prev = run;
  lane.runs[bin] = run;
  lane.run_mask[bin / 64] |= uint64_t{1} << bin % 64;
}

void bin_remove(Lane& lane, Span* run) {
  const uint32_t bin = step_of(run->pages);
  (run->prev != nullptr ? run->prev->next : lane.runs[bin]) = run->next;
  if (run->next != nullptr) run->next->prev = run->prev;
  if (lane.runs[bin] == nullptr) lane.run_mask[bin / 64] &= ~(uint64_t{1} << bin % 64);
}

// The first bin that is not empty, from `bin` on; null if there is none.
Span* first_run_from(const Lane& lane, uint32_t bin) {
  if (bin >= kRunSteps) return nullptr;
  uint64_t mask = lane.run_mask[bin / 64] & (UINT64_MAX << bin % 64);
  uint32_t base = bin / 64 * 64;
  if (mask == 0 && base == 0) {
    base = 64;
    mask = lane.run_mask[1];
  }
  if (mask == 0) return nullptr;
  return lane.runs[base + static_cast<uint32_t>(__builtin_ctzll(mask))];
}

Span* find_run(const Lane& lane, uint64_t pages) {
  const uint32_t bin = step_of(pages);
  if (bin >= kRunSteps) return nullptr;
  Span* run = lane.runs[bin];
  for (uint32_t i = 0; i < kBinProbes && run != nullptr; ++i, run = run->next) {
    if (run->pages >= pages) return run;
  }
  return first_run_from(lane, bin + 1);
}

// A run that ends with its segment has its end tag in the segment record: in the page map it would
// lie far beyond what else is in use there.
bool ends_segment(uint64_t last_page) { return (last_page + 1) % kSegmentPages == 0; }

void set_tags(Span* run) {
  const uint64_t first = page_of(run->begin);
  const uint64_t last = first + run->pages - 1;
  map_set(first, run);
  if (ends_segment(last)) {
    segment_at(last / kSegmentPages).end_tag = run;
  } else {
    map_set(last, run);
  }
}

bool owns_page(const Lane& lane, uint64_t page) {
  return segment_at(page / kSegmentPages).owner.load(std::memory_order_relaxed) ==
         index_of(lane) + 1;
}

Span* free_run_before(const Lane& lane, uint64_t page) {
  if (page == 0 || !owns_page(lane, page - 1)) return nullptr;
  Span* const tag =
      ends_segment(page - 1) ? segment_at((page - 1) / kSegmentPages).end_tag : map_get(page - 1);
  if (tag == nullptr || tag->kind != Kind::kFree) return nullptr;
  return tag->end() == address_of(page) ? tag : nullptr;
}

Span* free_run_at(const Lane& lane, uint64_t page) {
  if (page == kArenaPages || !owns_page(lane, page)) return nullptr;
  Span* const tag = map_get(page);
  if (tag == nullptr || tag->kind != Kind::kFree) return nullptr;
  return tag->begin == address_of(page) ? tag : nullptr;
}

void publish_run(Lane& lane, Span* run, uint64_t first_page, uint64_t pages) {
  run->begin = address_of(first_page);
  run->pages = static_cast<uint32_t>(pages);
  bin_insert(lane, run);
  set_tags(run);
}

void raise_used(uint64_t first_page, uint64_t pages) {
  const uint64_t end = first_page + pages;
  for (uint64_t segment = first_page / kSegmentPages; segment * kSegmentPages < end; ++segment) {
    const uint64_t reach = end - segment * kSegmentPages;
    const auto used = static_cast<uint32_t>(reach < kSegmentPages ? reach : kSegmentPages);
    if (segment_at(segment).used_pages < used) segment_at(segment).used_pages = used;
  }
}

Span* new_run(Span* block, const Lane& lane) {
  block->kind = Kind::kFree;
  block->lane = static_cast<uint16_t>(index_of(lane));
  block->phase = Phase::kClean;
  block->listed = false;
  return block;
}

// Cuts [at, at + pages) out of the run. What remains in front, or else behind, keeps the run's
// record and its place in the trim lists. `spare` is for what remains behind if both do.
void carve(Lane& lane, Span* run, uint64_t at, uint64_t pages, Span* spare) {
  const uint64_t first = page_of(run->begin);
  const uint64_t end = first + run->pages;
  const uint64_t behind = at + pages;
  bin_remove(lane, run);
  if (at != first) publish_run(lane, run, first, at - first);
  if (behind != end) {
    Span* rest = run;
    if (at != first) {
      EVENKEEL_CHECK(spare != nullptr);
      rest = new_run(spare, lane);
      trim_note(lane, rest, run->phase, end - behind);
    }
    publish_run(lane, rest, behind, end - behind);
  }
  if (at == first && behind == end) {
    trim_forget(lane, run);
    free_block(lane, run);
  }
  raise_used(at, pages);
}

}  // namespace

uint64_t take_run(Lane& lane, uint64_t pages, uint64_t align_pages) {
  Span* spare = nullptr;
  if (align_pages > 1) {
    spare = alloc_block(lane, sizeof(Span));
    if (spare == nullptr) return kNoPage;
  }
  const uint64_t need = pages + align_pages - 1;
  Span* run = find_run(lane, need);
  if (run == nullptr && take_segments(lane, (need + kSegmentPages - 1) / kSegmentPages)) {
    run = find_run(lane, need);
  }
  uint64_t at = kNoPage;
  if (run != nullptr) {
    const uint64_t first = page_of(run->begin);
    at = (first + align_pages - 1) & ~(align_pages - 1);
    carve(lane, run, at, pages, spare);
  }
  if (spare != nullptr && spare->kind == Kind::kUnused) free_block(lane, spare);
  return at;
}

bool take_run_at(Lane& lane, uint64_t first_page, uint64_t pages) {
  Span* const run = free_run_at(lane, first_page);
  if (run == nullptr || run->pages < pages) return false;
  carve(lane, run, first_page, pages, nullptr);
  return true;
}

void free_run(Lane& lane, uint64_t first_page, uint64_t pages, Phase phase) {
  Span* const before = free_run_before(lane, first_page);
  Span* const behind = free_run_at(lane, first_page + pages);
  Span* run = before != nullptr ? before : behind;
  uint64_t first = first_page;
  uint64_t end = first_page + pages;
  if (run == nullptr) {
    Span* const block = alloc_block(lane, sizeof(Span));
    if (block == nullptr) return;  // the arena is exhausted to the last block: the pages are lost
    run = new_run(block, lane);
  }
  if (before != nullptr) {
    bin_remove(lane, before);
    first = page_of(before->begin);
  }
  if (behind != nullptr) {
    bin_remove(lane, behind);
    end += behind->pages;
  }
  if (before != nullptr && behind != nullptr) {
    if (behind->phase > phase) phase = behind->phase;
    trim_forget(lane, behind);
    free_block(lane, behind);
  }
  trim_note(lane, run, phase, end - first);
  publish_run(lane, run, first, end - first);
}

}  // namespace evenkeel::heap
