// Frees of other lanes' objects: noted by the lane that frees, carried out between batches, so
// that no lane's addresses depend on when another lane got to run.
#include "runtime/core/heap_state.h"

namespace evenkeel::heap {
namespace {

// Place for entry number lane.queued; null if the arena is exhausted.
uint64_t* next_entry(Lane& lane) {
  if (lane.queued < kInlineQueue) return &lane.inline_queue[lane.queued];
  const uint64_t index = (lane.queued - kInlineQueue) % kQueueBlockEntries;
  if (index == 0) {
    Span* const block = alloc_block(lane, kQueueBlockBytes);
    if (block == nullptr) return nullptr;
    block->kind = Kind::kQueue;
    block->next = nullptr;
    (lane.queue.last != nullptr ? lane.queue.last->next : lane.queue.first) = block;
    lane.queue.last = block;
  }
  return &lane.queue.last->words[index];
}

void apply_one(uint64_t address) {
  Found found;
  // Not queued any more: the owner freed it too, at the same moment.
  if (!find(address, found) || found.word.state() != State::kQueued) {
    return hooks().misuse(kDoubleFree, reinterpret_cast<void*>(address));
  }
  release_own(lane_at(found.span->lane), found);
}

void apply_queue(Lane& lane) {
  const uint64_t queued = lane.queued;
  const uint64_t in_lane = queued < kInlineQueue ? queued : kInlineQueue;
  for (uint64_t i = 0; i < in_lane; ++i) apply_one(lane.inline_queue[i]);
  uint64_t left = queued - in_lane;
  for (Span* block = lane.queue.first; block != nullptr;) {
    const uint64_t here = left < kQueueBlockEntries ? left : kQueueBlockEntries;
    for (uint64_t i = 0; i < here; ++i) apply_one(block->words[i]);
    left -= here;
    Span* const next = block->next;
    free_block(lane, block);
    block = next;
  }
  lane.queued = 0;
  lane.queue = {nullptr, nullptr};
}

// Calls visit(lane) for each lane of the set, ascending, and keeps those for which it says true.
template <typename Visit>
void sweep(LaneSet& set, Visit visit) {
  for (uint32_t i = 0; i < kMaxLanes / 64; ++i) {
    const uint64_t bits = set.bits[i].load(std::memory_order_relaxed);
    for (uint64_t left = bits; left != 0; left &= left - 1) {
      const auto bit = static_cast<uint32_t>(__builtin_ctzll(left));
      if (visit(lane_at(i * 64 + bit))) continue;
      set.bits[i].fetch_and(~(uint64_t{1} << bit), std::memory_order_relaxed);
    }
  }
}

}  // namespace

void queue_remote_free(Lane& by, Span* span, uint32_t slot, Word seen, uint64_t address) {
  start_lane(by);
  uint64_t expected = seen.bits;
  // Relaxed: only this word matters, and only that one of two racing frees wins.
  if (!std::atomic_ref(span->words[slot])
           .compare_exchange_strong(expected, seen.with(State::kQueued).bits,
                                    std::memory_order_relaxed)) {
    return hooks().misuse(kDoubleFree, reinterpret_cast<void*>(address));
  }
  uint64_t* const entry = next_entry(by);
  if (entry == nullptr) return hooks().lost_free(reinterpret_cast<void*>(address));
  *entry = address;
  if (by.queued++ == 0) root().queued.add(index_of(by));
}

void apply_remote_frees() {
  ++root().epoch;
  sweep(root().queued, [](Lane& lane) {
    apply_queue(lane);
    return false;
  });
  sweep(root().trimming, [](Lane& lane) {
    trim(lane);
    return trim_pending(lane);
  });
}

}  // namespace evenkeel::heap
