// Questions about the heap while it stands still: which object covers an address (reports), and
// which parts of the arenas are in use (snapshot).
#include "runtime/core/hash.h"
#include "runtime/core/heap_state.h"

namespace evenkeel::heap {
namespace {

// Small spans are in the page map with every page, large objects with their first page in each
// segment: looking back as far as the segment's start finds both.
Span* live_span(uint64_t address) {
  const uint64_t page = page_of(address);
  const uint64_t stop = page / kSegmentPages * kSegmentPages;
  for (uint64_t at = page + 1; at-- > stop;) {
    Span* const span = map_get(at);
    if (span != nullptr && span->covers(address)) return span;
  }
  return nullptr;
}

// The youngest of the lane's dead runs that covers the address.
Span* dead_span(const Lane& lane, uint64_t address) {
  for (uint32_t i = 1; i <= kGraves; ++i) {
    Span* const span = lane.graves[(lane.next_grave + kGraves - i) % kGraves];
    if (span == nullptr) return nullptr;
    if (address - span->begin < span->bytes()) return span;
  }
  return nullptr;
}

uint64_t full_sequence(const Lane& lane, Word word) {
  constexpr uint64_t kMask = (uint64_t{1} << (64 - Word::kSequenceShift)) - 1;
  return lane.sequence - ((lane.sequence - word.sequence()) & kMask);
}

bool describe(Span* span, uint64_t address, Object& out) {
  uint32_t slot = 0;
  out.base = span->begin;
  if (span->size_class != kLargeClass) {
    const uint64_t index = (address - span->begin) / span->small.bytes;
    if (index >= span->small.bump) return false;
    slot = static_cast<uint32_t>(index);
    out.base += index * span->small.bytes;
  }
  const Word word = load_word(span, slot);
  out.bytes = span->size_class == kLargeClass ? span->large.bytes : word.bytes();
  out.lane = LaneId{span->lane};
  // Queued: freed by another thread in this batch; nobody may use it any more.
  out.live = word.state() == State::kLive;
  out.sequence = full_sequence(lane_at(span->lane), word);
  return true;
}

// Joins pieces that touch.
class RangeSink {
 public:
  RangeSink(void (*visit)(void*, Range), void* context) : visit_(visit), context_(context) {}

  void add(uint64_t begin, uint64_t bytes) {
    if (bytes == 0) return;
    const uint64_t end = page_ceil(begin + bytes);
    if (begin > end_) {
      flush();
      begin_ = begin;
    }
    end_ = end;
  }
  void flush() {
    if (end_ != begin_) visit_(context_, {begin_, end_ - begin_});
    begin_ = end_;
  }

 private:
  void (*visit_)(void*, Range);
  void* context_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

}  // namespace

uint64_t digest() {
  uint64_t sum = 0;
  const auto add_lanes = [&](uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; ++i) {
      const Lane& lane = lane_at(i);
      const uint64_t words[] = {i, lane.sequence, lane.freed};
      if (lane.started != 0) sum += hash64(words, sizeof words, 0);
    }
  };
  add_lanes(0, root().thread_lanes.load(std::memory_order_relaxed));
  add_lanes(kThreadLanes, root().lanes.load(std::memory_order_relaxed));
  return sum;
}

bool object_at(uint64_t address, Object& out) {
  if (!kHeapArena.contains(address)) return false;
  const uint32_t owner =
      segment_at(page_of(address) / kSegmentPages).owner.load(std::memory_order_relaxed);
  if (owner == 0) return false;
  Span* span = live_span(address);
  if (span == nullptr) span = dead_span(lane_at(owner - 1), address);
  return span != nullptr && describe(span, address, out);
}

void for_each_used_range(void (*visit)(void* context, Range range), void* context) {
  static_assert(kHeapMetaArena.begin < kHeapArena.begin);  // ascending
  const uint64_t segments = root().segments;
  RangeSink sink(visit, context);
  sink.add(kRootAt, kPageBytes);
  sink.add(kLanesAt, root().lanes.load(std::memory_order_relaxed) * sizeof(Lane));
  sink.add(kSegmentsAt, segments * sizeof(Segment));
  sink.add(kTouchedAt, segments * kSegmentPages / 8);
  for (uint64_t i = 0; i < segments; ++i) {
    // One more than handed out: a free run behind them has its tag there.
    const uint64_t entries = uint64_t{segment_at(i).used_pages} + 1;
    sink.add(kPageMapAt + i * kSegmentPages * sizeof(Span*),
             (entries < kSegmentPages ? entries : kSegmentPages) * sizeof(Span*));
  }
  for (uint64_t i = 0; i < segments; ++i) {
    sink.add(kBlocksAt + i * kSegmentMetaBytes, segment_at(i).block_bytes);
  }
  for (uint64_t i = 0; i < segments; ++i) {
    sink.add(address_of(i * kSegmentPages), segment_at(i).used_pages * kPageBytes);
  }
  sink.flush();
}

}  // namespace evenkeel::heap
