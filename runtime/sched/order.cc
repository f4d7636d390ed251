#include "runtime/sched/order.h"

#include <atomic>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/thread_log.h"

namespace evenkeel::sched {
namespace {

constexpr uint32_t kVersionMask = 0xff'ffff;  // an entry has 24 bits for it; it wraps around
constexpr uint32_t kTagBits = 0x3f;
constexpr uint32_t kBlocked = 0x40;  // beside the tag: still blocked when the primary was quiescent
constexpr uint32_t kFailure = 0x80;  // beside the tag: a recorded failure

// How often a follower looks at the log before it sleeps: about 2 us, less than a futex round trip.
constexpr int kLogSpins = 60;
// While other threads of this replica still run, the carrier that waits for the log must also look
// for local progress, which does not wake it.
constexpr uint64_t kBusyWait_ns = 50'000;
// A thread that yields so often in a row without an operation, while no other is ready, is taken to
// spin for one that waits for its closing operation.
constexpr uint32_t kSpinYields = 64;

struct State {
  wire::Deck* deck;
  wire::OrderLog* log;
  uint32_t replica;
  OrderMode mode;
  uint32_t sequence;
  Thread* waiters;                     // kOrder threads, by Thread::next; lock held
  std::atomic<uint32_t> waiter_count;  // of them
  Thread* early;                       // await_closing(), by Thread::next; lock held
  std::atomic<uint32_t> spin_yields;   // relaxed: a count that need not be exact
  uint32_t groups;                     // quiescences in this command; the pump's
  Thread* blocked;                     // follower: consumed a kBlocked entry; lock held
  std::atomic<bool> unordered;         // follower: the log overflowed and is used up
  std::atomic<bool> contradicted;
  Contradiction contradiction;
};
constinit State g{};
using LockProbe = bool(Tag, uint64_t);
constinit LockProbe* g_lock_held = nullptr;

using Entry = wire::OrderEntry;

Entry make_entry(const uint32_t& version, uint32_t seen, uint32_t tag) {
  return {seen << 8 | tag, 0, reinterpret_cast<uint64_t>(&version)};
}
Entry make_outcome(uint32_t tag) { return {tag, 0, 0}; }  // of an operation that takes no turn

// ---- followers

void note_contradiction(const Thread& thread, const uint32_t* version, uint32_t tag) {
  if (g.contradicted.exchange(true, std::memory_order_acq_rel)) return;
  const bool logged = entry_available(thread);
  g.contradiction = {true,
                     thread.id,
                     cursor_of(thread).count,
                     logged ? next_entry(thread).what : 0,
                     static_cast<Tag>(tag),
                     reinterpret_cast<uint64_t>(version),
                     version != nullptr ? *version & kVersionMask : 0};
}

[[noreturn]] void diverge_at(const uint32_t* version, uint32_t tag) {
  note_contradiction(self(), version, tag);
  diverge();
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

void consume() {
  Thread& thread = self();
  g.spin_yields.store(0, std::memory_order_relaxed);
  if (entry_available(thread)) ++cursor_of(thread).count;
}

// Parks until the replica would be quiescent without it.
void park_until_settled(Thread& thread) {
  lock();
  thread.state = ThreadState::kOrder;
  thread.next = g.blocked;
  g.blocked = &thread;
  suspend_locked();
}

Turn replay_version(Thread& thread, const uint32_t& version, uint32_t wanted, uint32_t tag) {
  for (;;) {
    const uint32_t now = load_version(version);
    if (now == wanted) return Turn::kDue;
    if (g.unordered.load(std::memory_order_acquire)) return Turn::kOpen;
    const uint32_t behind = (wanted - now) & kVersionMask;
    if (behind > kVersionMask / 2) diverge_at(&version, tag);  // somebody has taken our turn
    if (stopping()) abandon();
    await_version(thread, version, wanted);
  }
}

Turn replay_outcome(const uint32_t& version, uint32_t tag) {
  Thread& thread = self();
  if (!await_entry(thread)) return Turn::kOpen;
  const uint32_t entry = next_entry(thread).what;
  if ((entry & kTagBits) != tag) diverge_at(&version, tag);
  if ((entry & kFailure) != 0) {
    consume();
    return Turn::kFailed;
  }
  if ((entry & kBlocked) != 0) {
    consume();
    park_until_settled(thread);
    return Turn::kBlocked;
  }
  return replay_version(thread, version, entry >> 8, tag);
}

// For operations that neither fail nor block before they are logged.
void replay_turn(const uint32_t& version, uint32_t tag) {
  const Turn turn = replay_outcome(version, tag);
  if (turn == Turn::kFailed || turn == Turn::kBlocked) diverge_at(&version, tag);
}

bool primary_is_done() {
  if (g.deck->command.follow_log != 0) return true;
  const wire::Replica& primary = g.deck->replicas[g.deck->command.primary];
  return primary.done_sequence.load(std::memory_order_acquire) == g.sequence;
}

uint32_t release_those_with_entries() {
  return release_waiters(
      [](const Thread& t) { return t.turn_word == nullptr && entry_available(t); });
}

// ---- closing operations

bool closing_is_due(const Thread& thread) {
  if (!entry_available(thread)) return false;
  const Entry& entry = next_entry(thread);
  if (entry.object == 0) return true;
  const uint32_t now = load_version(*reinterpret_cast<const uint32_t*>(entry.object));
  const uint32_t behind = ((entry.what >> 8) - now) & kVersionMask;
  if (behind > kVersionMask / 2) return true;  // its contradiction, or the thread makes it anew
  return behind == 0 && (g_lock_held == nullptr ||
                         !g_lock_held(static_cast<Tag>(entry.what & kTagBits), entry.object));
}

// Returns whether any was.
template <typename Due>
bool release_early(Due due) {
  bool released = false;
  for (Thread** link = &g.early; *link != nullptr;) {
    Thread& thread = **link;
    if (due(thread)) {
      *link = thread.next;
      thread.next = nullptr;
      make_ready(thread);
      released = true;
    } else {
      link = &thread.next;
    }
  }
  return released;
}

// Those first of which the log tells nothing more: they will park without an operation.
bool let_one_go() {
  bool found = false;
  const auto first = [&](const Thread& t) {
    return !found && !entry_available(t) && (found = true);
  };
  if (release_early(first)) return true;
  return release_early([&](const Thread&) { return !found && (found = true); });
}

bool primary_ended_group() {
  const uint64_t groups = g.log->groups.load(std::memory_order_acquire);
  return groups >> 32 == g.sequence && static_cast<uint32_t>(groups) > g.groups;
}

void run_unordered() {
  g.unordered.store(true, std::memory_order_release);
  release_waiters([](const Thread&) { return true; });
  release_early([](const Thread&) { return true; });
}

void sleep_until_log_moves(uint32_t quiet, bool others_running) {
  g.deck->log_waiters.fetch_add(1, std::memory_order_seq_cst);  // before the kernel compares
  sys::futex_wait(g.deck->log_quiet, quiet, others_running ? kBusyWait_ns : sys::kNoTimeout)
      .ignore();
  g.deck->log_waiters.fetch_sub(1, std::memory_order_relaxed);
}

bool anything_due() {
  for (const Thread* t = g.waiters; t != nullptr; t = t->next) {
    if (t->turn_word == nullptr && entry_available(*t)) return true;
  }
  for (const Thread* t = g.early; t != nullptr; t = t->next) {
    if (closing_is_due(*t)) return true;
  }
  return false;
}

}  // namespace

constinit bool g_closing = false;

void init_order(wire::Deck& deck, uint32_t replica) {
  g.deck = &deck;
  g.log = &deck.log;
  init_log(deck);
  g.replica = replica;
}

void begin_order(OrderMode mode, uint32_t sequence) {
  g.mode = mode;
  g.sequence = sequence;
  g_closing = mode == OrderMode::kReplay;
  g.groups = 0;
  drop_order_waiters();
  g.unordered.store(false, std::memory_order_relaxed);
  g.contradicted.store(false, std::memory_order_relaxed);
  g.contradiction = {};
  begin_log(sequence, mode == OrderMode::kRecord);
}

void run_early() { g_closing = false; }

OrderMode order_mode() { return g.mode; }
bool versions_stand_still() { return g.mode == OrderMode::kFree && g.deck->boot.replica_count > 1; }
uint32_t order_sequence() { return g.sequence; }

uint32_t operations_of(const Thread& thread) { return cursor_of(thread).count; }

uint64_t ordered_operations() { return operations_done(); }

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
  if (versions_stand_still()) return;
  if (g.mode == OrderMode::kRecord) append(self(), make_entry(version, version, tag_bits));
  ++version;
}

OrderedGuard::~OrderedGuard() { unlock(); }

void await_turn(const uint32_t& version, Tag tag) {
  if (g.mode == OrderMode::kReplay) replay_turn(version, static_cast<uint32_t>(tag));
}

void passed(uint32_t& version, Tag tag) {
  if (versions_stand_still()) return;
  const uint32_t seen = version;  // ours alone to change while we hold the lock it belongs to
  // seq_cst: see await_version(). Recording, nobody reads it before he has the lock.
  __atomic_store_n(&version, seen + 1,
                   g.mode == OrderMode::kReplay ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED);
  passed_at(version, seen, tag);
}

void passed_at(const uint32_t& version, uint32_t seen, Tag tag) {
  if (g.mode == OrderMode::kRecord) {
    append(self(), make_entry(version, seen, static_cast<uint32_t>(tag)));
  } else if (g.mode == OrderMode::kReplay) {
    consume();
    if (g.waiter_count.load(std::memory_order_seq_cst) == 0) return;
    Guard guard;
    release_turn_locked(version);
  }
}

Turn await_outcome(const uint32_t& version, Tag tag) {
  if (g.mode != OrderMode::kReplay) return Turn::kOpen;
  return replay_outcome(version, static_cast<uint32_t>(tag));
}

const Contradiction& contradiction() { return g.contradiction; }

void diverge() {
  if (!g.contradicted.load(std::memory_order_relaxed)) note_contradiction(self(), nullptr, 0);
  stop();
  abandon();
}

bool recorded_failure(Tag tag, bool& failed) {
  if (g.mode != OrderMode::kReplay) return false;
  if (!await_entry(self())) return false;
  const uint32_t entry = next_entry(self()).what;
  if ((entry & ~kFailure & 0xff) != static_cast<uint32_t>(tag)) {
    diverge_at(nullptr, static_cast<uint32_t>(tag));
  }
  failed = (entry & kFailure) != 0;
  if (failed) consume();
  return true;
}

void log_failure(Tag tag) {
  if (g.mode == OrderMode::kRecord) {
    append(self(), make_outcome(kFailure | static_cast<uint32_t>(tag)));
  }
}

void set_lock_probe(bool (*held)(Tag tag, uint64_t version_word)) { g_lock_held = held; }

void await_closing_operation() {
  if (!serial() || !started()) return;
  Thread& thread = self();
  if (thread.locks_held != 0) return;
  Cursor& cursor = cursor_of(thread);
  if (cursor.closing == cursor.count + 1) return;
  cursor.closing = cursor.count + 1;
  if (closing_is_due(thread) || g.unordered.load(std::memory_order_acquire)) return;
  if (stopping()) abandon();
  lock();
  thread.state = ThreadState::kOrder;
  thread.next = g.early;
  g.early = &thread;
  suspend_locked();
}

bool closing_waiters() { return g.early != nullptr; }

void note_spin() { g.spin_yields.store(kSpinYields, std::memory_order_relaxed); }

bool order_waiters() { return g.waiters != nullptr || g.early != nullptr; }

void poll_order_waiters() {
  release_those_with_entries();
  if (g.early == nullptr || anything_ready()) return;
  if (g.spin_yields.fetch_add(1, std::memory_order_relaxed) < kSpinYields) return;
  g.spin_yields.store(0, std::memory_order_relaxed);
  static_cast<void>(let_one_go());
}

bool settle_waiters() {
  if (stopping()) return false;  // what is there will be rolled back
  if (g.blocked != nullptr) {
    while (Thread* thread = g.blocked) {
      g.blocked = thread->next;
      thread->next = nullptr;
      make_ready(*thread);
    }
    return true;
  }
  settle_arrivals([](Thread& thread) {
    if (g.mode == OrderMode::kRecord) append(thread, make_outcome(kBlocked | thread.unsettled));
  });
  return false;
}

void wait_for_order(bool others_running) {
  // Read before the log is looked at: an entry that comes later is followed by a later bump.
  const uint32_t quiet = g.deck->log_quiet.load(std::memory_order_acquire);
  const bool complete = primary_is_done();
  const bool group_ended = complete || primary_ended_group();
  if (release_those_with_entries() != 0 || release_early(closing_is_due)) return;
  if (g.log->overflow.load(std::memory_order_acquire) != 0) return run_unordered();
  if (group_ended && !others_running && let_one_go()) return;
  if (complete && !others_running) {
    note_contradiction(*g.waiters, g.waiters->turn_word, 0);
    stop();
    return;
  }
  for (int i = 0; i < kLogSpins; ++i) {
    if (anything_due()) return;
    __builtin_ia32_pause();
  }
  unlock();
  sleep_until_log_moves(quiet, others_running);
  lock();
}

void drop_order_waiters() {
  g.blocked = nullptr;
  g.early = nullptr;
  g.spin_yields.store(0, std::memory_order_relaxed);
  g.waiters = nullptr;
  g.waiter_count.store(0, std::memory_order_relaxed);
}

void end_group() {
  ++g.groups;
  if (g.mode != OrderMode::kRecord) return;
  g.log->groups.store(uint64_t{g.sequence} << 32 | g.groups, std::memory_order_release);
  announce_quiet();
}

void announce_quiet() {
  g.deck->log_quiet.fetch_add(1, std::memory_order_seq_cst);  // before log_waiters is read
  if (g.deck->log_waiters.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(g.deck->log_quiet, static_cast<int>(wire::kMaxReplicas)).ignore();
  }
}

}  // namespace evenkeel::sched
