#include "runtime/sched/order.h"

#include <atomic>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"

namespace evenkeel::sched {
namespace {

constexpr uint32_t kVersionMask = 0xff'ffff;  // an entry has 24 bits for it; it wraps around
constexpr uint32_t kFailure = 0x80;           // tag bit of a recorded failure

// How often a follower looks at the log before it sleeps: about 2 us, less than a futex round trip.
constexpr int kLogSpins = 60;
// While other threads of this replica still run, the carrier that waits for the log must also look
// for local progress, which does not wake it.
constexpr uint64_t kBusyWait_ns = 50'000;

// Position in one thread's log. Runtime memory: begin_order() resets all by changing `sequence`.
struct Cursor {
  uint32_t sequence;
  uint32_t count;
};

struct State {
  wire::Deck* deck;
  wire::OrderLog* log;
  uint32_t replica;
  OrderMode mode;
  uint32_t sequence;
  Thread* waiters;                     // kOrder threads, by Thread::next; lock held
  std::atomic<uint32_t> waiter_count;  // of them
  std::atomic<bool> unordered;         // follower: the log overflowed and is used up
  Cursor cursors[wire::kMaxThreads];
};
constinit State g{};

Cursor& cursor_of(const Thread& thread) {
  Cursor& cursor = g.cursors[index_of(thread.id)];
  if (cursor.sequence != g.sequence) cursor = {g.sequence, 0};
  return cursor;
}

uint32_t make_entry(uint32_t version, uint32_t tag) { return version << 8 | tag; }

// ---- primary

void append(const Thread& thread, uint32_t entry) {
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
}

// ---- followers

uint32_t published_entries(const Thread& thread) {
  const uint64_t published =
      g.log->thread[index_of(thread.id)].published.load(std::memory_order_acquire);
  return published >> 32 == g.sequence ? static_cast<uint32_t>(published) : 0;
}

bool entry_available(const Thread& thread) {
  return published_entries(thread) > cursor_of(thread).count;
}

uint32_t next_entry(const Thread& thread) {
  const Cursor& cursor = cursor_of(thread);
  const wire::ThreadLog& log = g.log->thread[index_of(thread.id)];
  return g.log->entry[log.segment[cursor.count / wire::kSegmentEntries]]
                     [cursor.count % wire::kSegmentEntries];
}

[[noreturn]] void diverge() {
  stop();
  abandon();
}

void add_waiter_locked(Thread& thread, const uint32_t* turn_word, uint32_t turn_version) {
  thread.state = ThreadState::kOrder;
  thread.turn_word = turn_word;
  thread.turn_version = turn_version;
  thread.next = g.waiters;
  g.waiters = &thread;
}

// Makes ready the waiters for which due(thread) holds, in no particular order: the log decides.
// Returns how many.
template <typename Due>
uint32_t release_waiters(Due due) {
  uint32_t released = 0;
  Thread** link = &g.waiters;
  while (Thread* thread = *link) {
    if (due(*thread)) {
      *link = thread->next;
      thread->next = nullptr;
      g.waiter_count.fetch_sub(1, std::memory_order_relaxed);
      make_ready(*thread);
      ++released;
    } else {
      link = &thread->next;
    }
  }
  return released;
}

void release_turn_locked(const uint32_t& version) {
  const uint32_t now = version & kVersionMask;
  release_waiters(
      [&](const Thread& t) { return t.turn_word == &version && t.turn_version == now; });
}

uint32_t load_version(const uint32_t& version) {
  return __atomic_load_n(&version, __ATOMIC_SEQ_CST) & kVersionMask;
}

// Suspends until the thread has a log entry. False: there will be none, run unordered.
bool await_entry(Thread& thread) {
  while (!entry_available(thread)) {
    if (stopping()) abandon();
    if (g.unordered.load(std::memory_order_acquire)) return false;
    lock();
    g.waiter_count.fetch_add(1, std::memory_order_seq_cst);
    add_waiter_locked(thread, nullptr, 0);
    suspend_locked();
  }
  return true;
}

void await_version(Thread& thread, const uint32_t& version, uint32_t wanted) {
  lock();
  // The count goes up before the version is looked at again, and passed() changes the version
  // before it looks at the count (both sequentially consistent): one of the two sees the other.
  g.waiter_count.fetch_add(1, std::memory_order_seq_cst);
  if (load_version(version) == wanted) {
    g.waiter_count.fetch_sub(1, std::memory_order_relaxed);
    unlock();
    return;
  }
  add_waiter_locked(thread, &version, wanted);
  suspend_locked();
}

void replay_turn(const uint32_t& version, uint32_t tag) {
  Thread& thread = self();
  if (!await_entry(thread)) return;
  const uint32_t entry = next_entry(thread);
  if ((entry & 0xff) != tag) diverge();
  const uint32_t wanted = entry >> 8;
  for (;;) {
    const uint32_t now = load_version(version);
    if (now == wanted) return;
    if (g.unordered.load(std::memory_order_acquire)) return;
    const uint32_t behind = (wanted - now) & kVersionMask;
    if (behind > kVersionMask / 2) diverge();  // somebody has taken our turn
    if (stopping()) abandon();
    await_version(thread, version, wanted);
  }
}

void consume() {
  Thread& thread = self();
  if (entry_available(thread)) ++cursor_of(thread).count;
}

bool primary_is_done() {
  const wire::Replica& primary = g.deck->replicas[g.deck->command.primary];
  return primary.done_sequence.load(std::memory_order_acquire) == g.sequence;
}

uint32_t release_those_with_entries() {
  return release_waiters(
      [](const Thread& t) { return t.turn_word == nullptr && entry_available(t); });
}

void run_unordered() {
  g.unordered.store(true, std::memory_order_release);
  release_waiters([](const Thread&) { return true; });
}

void sleep_until_log_moves(uint32_t quiet, bool others_running) {
  g.deck->log_waiters.fetch_add(1, std::memory_order_seq_cst);  // before the kernel compares
  sys::futex_wait(g.deck->log_quiet, quiet, others_running ? kBusyWait_ns : sys::kNoTimeout)
      .ignore();
  g.deck->log_waiters.fetch_sub(1, std::memory_order_relaxed);
}

bool any_entry_for_waiters() {
  for (const Thread* t = g.waiters; t != nullptr; t = t->next) {
    if (t->turn_word == nullptr && entry_available(*t)) return true;
  }
  return false;
}

}  // namespace

void init_order(wire::Deck& deck, uint32_t replica) {
  g.deck = &deck;
  g.log = &deck.log;
  g.replica = replica;
}

void begin_order(OrderMode mode, uint32_t sequence) {
  g.mode = mode;
  g.sequence = sequence;
  g.waiters = nullptr;
  g.waiter_count.store(0, std::memory_order_relaxed);
  g.unordered.store(false, std::memory_order_relaxed);
  if (mode == OrderMode::kRecord) {
    g.log->segments_used.store(0, std::memory_order_relaxed);
    g.log->overflow.store(0, std::memory_order_relaxed);
  }
}

OrderMode order_mode() { return g.mode; }

uint64_t ordered_operations() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < thread_slots(); ++i) {
    if (g.cursors[i].sequence == g.sequence) sum += g.cursors[i].count;
  }
  return sum;
}

void lock_ordered(uint32_t& version, Tag tag) {
  const auto tag_bits = static_cast<uint32_t>(tag);
  if (g.mode == OrderMode::kReplay) {
    replay_turn(version, tag_bits);
    lock();
    consume();
    __atomic_store_n(&version, version + 1, __ATOMIC_SEQ_CST);
    if (g.waiters != nullptr) release_turn_locked(version);
    return;
  }
  lock();
  if (g.mode == OrderMode::kRecord) append(self(), make_entry(version, tag_bits));
  ++version;
}

OrderedGuard::~OrderedGuard() { unlock(); }

void await_turn(const uint32_t& version, Tag tag) {
  if (g.mode == OrderMode::kReplay) replay_turn(version, static_cast<uint32_t>(tag));
}

void passed(uint32_t& version, Tag tag) {
  if (g.mode == OrderMode::kReplay) {
    consume();
    // seq_cst: see await_version().
    __atomic_store_n(&version, version + 1, __ATOMIC_SEQ_CST);
    if (g.waiter_count.load(std::memory_order_seq_cst) != 0) {
      Guard guard;
      release_turn_locked(version);
    }
    return;
  }
  if (g.mode == OrderMode::kRecord) {
    append(self(), make_entry(version, static_cast<uint32_t>(tag)));
  }
  ++version;
}

bool recorded_failure(Tag tag, bool& failed) {
  if (g.mode != OrderMode::kReplay) return false;
  if (!await_entry(self())) return false;
  const uint32_t entry = next_entry(self());
  if ((entry & 0x7f) != static_cast<uint32_t>(tag)) diverge();
  failed = (entry & kFailure) != 0;
  if (failed) consume();
  return true;
}

void log_failure(Tag tag) {
  if (g.mode == OrderMode::kRecord) {
    append(self(), make_entry(0, kFailure | static_cast<uint32_t>(tag)));
  }
}

bool order_waiters() { return g.waiters != nullptr; }

void wait_for_order(bool others_running) {
  // Read before the log is looked at: an entry that comes later is followed by a later bump.
  const uint32_t quiet = g.deck->log_quiet.load(std::memory_order_acquire);
  const bool complete = primary_is_done();
  if (release_those_with_entries() != 0) return;
  if (g.log->overflow.load(std::memory_order_acquire) != 0) return run_unordered();
  if (complete && !others_running) {
    stop();
    return;
  }
  for (int i = 0; i < kLogSpins; ++i) {
    if (any_entry_for_waiters()) return;
    __builtin_ia32_pause();
  }
  unlock();
  sleep_until_log_moves(quiet, others_running);
  lock();
}

void drop_order_waiters() {
  g.waiters = nullptr;
  g.waiter_count.store(0, std::memory_order_relaxed);
}

void announce_quiet() {
  g.deck->log_quiet.fetch_add(1, std::memory_order_seq_cst);  // before log_waiters is read
  if (g.deck->log_waiters.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(g.deck->log_quiet, static_cast<int>(wire::kMaxReplicas)).ignore();
  }
}

}  // namespace evenkeel::sched
