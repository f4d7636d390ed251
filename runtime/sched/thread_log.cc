#include "runtime/sched/thread_log.h"

#include <atomic>

#include "runtime/sched/order.h"

namespace evenkeel::sched {
namespace {

// A follower that sleeps is woken each time a thread's log has grown by so much, so that it neither
// falls behind by a batch nor costs the primary a system call for each operation.
constexpr uint32_t kWakeStride = 64;

struct State {
  wire::Deck* deck;
  wire::OrderLog* log;
  uint32_t sequence;
  Cursor cursors[wire::kMaxThreads];
};
constinit State g{};

uint32_t published_entries(const Thread& thread) {
  const uint64_t published =
      g.log->thread[index_of(thread.id)].published.load(std::memory_order_acquire);
  return published >> 32 == g.sequence ? static_cast<uint32_t>(published) : 0;
}

}  // namespace

void init_log(wire::Deck& deck) {
  g.deck = &deck;
  g.log = &deck.log;
}

void begin_log(uint32_t sequence, bool record) {
  g.sequence = sequence;
  if (!record) return;
  g.log->segments_used.store(0, std::memory_order_relaxed);
  g.log->overflow.store(0, std::memory_order_relaxed);
}

Cursor& cursor_of(const Thread& thread) {
  Cursor& cursor = g.cursors[index_of(thread.id)];
  if (cursor.sequence != g.sequence) cursor = {g.sequence, 0, 0};
  return cursor;
}

uint64_t operations_done() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < thread_slots(); ++i) {
    if (g.cursors[i].sequence == g.sequence) sum += g.cursors[i].count;
  }
  return sum;
}

void append(const Thread& thread, const wire::OrderEntry& entry) {
  Cursor& cursor = cursor_of(thread);
  if (g.log->overflow.load(std::memory_order_relaxed) != 0) return;
  wire::ThreadLog& log = g.log->thread[index_of(thread.id)];
  const uint32_t slot = cursor.count / wire::kSegmentEntries;
  const uint32_t offset = cursor.count % wire::kSegmentEntries;
  if (offset == 0) {
    const uint32_t fresh = g.log->segments_used.fetch_add(1, std::memory_order_relaxed);
    if (fresh >= wire::kMaxSegments || slot >= wire::kMaxThreadSegments) {
      g.log->overflow.store(1, std::memory_order_release);
      return;
    }
    log.segment[slot] = fresh;
  }
  g.log->entry[log.segment[slot]][offset] = entry;
  ++cursor.count;
  // release: pairs with the acquire in published_entries(); publishes the entry and its segment.
  log.published.store(uint64_t{g.sequence} << 32 | cursor.count, std::memory_order_release);
  // Relaxed: who is overlooked is woken at quiescence.
  if (cursor.count % kWakeStride == 0 && g.deck->log_waiters.load(std::memory_order_relaxed) != 0) {
    announce_quiet();
  }
}

bool entry_available(const Thread& thread) {
  return published_entries(thread) > cursor_of(thread).count;
}

const wire::OrderEntry& next_entry(const Thread& thread) {
  const Cursor& cursor = cursor_of(thread);
  const wire::ThreadLog& log = g.log->thread[index_of(thread.id)];
  return g.log->entry[log.segment[cursor.count / wire::kSegmentEntries]]
                     [cursor.count % wire::kSegmentEntries];
}

}  // namespace evenkeel::sched
