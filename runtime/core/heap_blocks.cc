// Where metadata comes from: segments of the arena, and blocks carved from each one's block area.
#include "runtime/core/heap_state.h"

namespace evenkeel::heap {
namespace {

constexpr uint64_t block_area(uint64_t segment) { return kBlocksAt + segment * kSegmentMetaBytes; }

// Goes on to the lane's next segment; false if there is none.
bool next_block_area(Lane& lane) {
  const uint32_t next = lane.block_segment == 0 ? lane.first_segment
                                                : segment_at(lane.block_segment - 1).next_of_lane;
  if (next == 0) return false;
  lane.block_segment = next;
  lane.block_cursor = block_area(next - 1);
  lane.block_end = lane.block_cursor + kSegmentMetaBytes;
  return true;
}

void append_segment(Lane& lane, uint64_t segment) {
  Segment& taken = segment_at(segment);
  taken.owner.store(index_of(lane) + 1, std::memory_order_relaxed);
  const auto link = static_cast<uint32_t>(segment + 1);
  (lane.last_segment == 0 ? lane.first_segment : segment_at(lane.last_segment - 1).next_of_lane) =
      link;
  lane.last_segment = link;
}

// Relaxed: a maximum, read while no lane is in use.
void raise(std::atomic<uint32_t>& maximum, uint32_t value) {
  uint32_t seen = maximum.load(std::memory_order_relaxed);
  while (seen < value && !maximum.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

void start_lane(Lane& lane) {
  if (lane.started != 0) return;
  const uint32_t index = index_of(lane);
  EVENKEEL_CHECK(index < kMaxLanes);
  lane.started = 1;
  raise(root().lanes, index + 1);
  if (index < kThreadLanes) raise(root().thread_lanes, index + 1);
}

Span* alloc_block(Lane& lane, uint64_t bytes) {
  start_lane(lane);
  const uint32_t step = block_step_of(bytes);
  if (Span* const block = lane.blocks[step]; block != nullptr) {
    lane.blocks[step] = block->next;
    return block;
  }
  const uint64_t size = block_bytes(step);
  while (lane.block_end - lane.block_cursor < size) {
    // take_segments() comes back here for a small block; by then there is a fresh area.
    if (!next_block_area(lane) && !take_segments(lane, 1)) return nullptr;
  }
  auto* const block = reinterpret_cast<Span*>(lane.block_cursor);
  lane.block_cursor += size;
  segment_at(lane.block_segment - 1).block_bytes =
      static_cast<uint32_t>(lane.block_cursor - block_area(lane.block_segment - 1));
  block->block_step = static_cast<uint8_t>(step);
  return block;
}

void free_block(Lane& lane, Span* block) {
  block->kind = Kind::kUnused;
  block->next = lane.blocks[block->block_step];
  lane.blocks[block->block_step] = block;
}

bool take_segments(Lane& lane, uint64_t count) {
  Root& all = root();
  hooks().enter_ordered();
  const uint64_t first = all.segments;
  const bool fits = count <= kSegments - first;
  if (fits) all.segments = first + count;
  hooks().leave_ordered();
  if (!fits) return false;
  for (uint64_t i = 0; i < count; ++i) append_segment(lane, first + i);
  free_run(lane, first * kSegmentPages, count * kSegmentPages, Phase::kClean);
  return true;
}

bool prepared(LaneId lane) { return lane_at(static_cast<uint32_t>(lane)).first_segment != 0; }

void prepare(LaneId lane) {
  Lane& prepared = lane_at(static_cast<uint32_t>(lane));
  if (prepared.first_segment != 0) return;
  start_lane(prepared);
  static_cast<void>(take_segments(prepared, 1));
}

void bury(Lane& lane, Span* span) {
  Span*& grave = lane.graves[lane.next_grave];
  if (grave != nullptr) free_block(lane, grave);
  grave = span;
  lane.next_grave = (lane.next_grave + 1) % kGraves;
}

}  // namespace evenkeel::heap
