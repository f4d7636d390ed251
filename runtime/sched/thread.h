#pragma once
// Application threads as the scheduler knows them. A Thread lies in the kernel arena (tracked):
// births, deaths, waiting and wake-ups are undone by a rollback like any other write.
#include <cstdint>

#include "runtime/sched/timers.h"
#include "runtime/wire.h"

namespace evenkeel::sched {

enum class ThreadId : uint32_t {};  // slot; 0 is the main thread
constexpr uint32_t index_of(ThreadId id) { return static_cast<uint32_t>(id); }

enum class ThreadState : uint32_t {
  kFree = 0,
  kReady,    // in the run queue
  kRunning,  // on a carrier
  kWaiting,  // parked on wait_key, or for its deadline
  kOrder,    // waits for its turn in the order log, or for the log to grow
  kDead,     // exited; the slot is free from the next command on
  kBorn,     // allocated, not yet made ready
};

enum class Wake : uint32_t { kWoken = 0, kTimeout, kSignal };

constexpr uint64_t kNoDeadline = UINT64_MAX;

struct Thread {
  ThreadId id;
  ThreadState state;
  void* sp;            // of the saved context while not running
  uint64_t fs_base;    // thread pointer: its TLS block
  uint64_t stack_end;  // which it started at, growing downwards

  // While kWaiting. Waiters of a key are first in, first out.
  uint64_t wait_key;
  Thread* next;
  Thread* previous;
  Wake wake;
  Timer timer;  // armed while waiting with a deadline
  // Tag of the operation whose arrival in the wait queue nothing orders; 0: settled. See
  // settle_arrivals().
  uint32_t unsettled;
  wire::WaitKind wait_kind;  // what its wait_key is, see describe_wait()
  uint32_t wait_sequence;    // command in which a wait of known kind began

  // While kOrder.
  const uint32_t* turn_word;  // version word; null: waits for a log entry
  uint32_t turn_version;

  // What the virtual kernel keeps per thread.
  bool detached;  // nobody joins it: see detach_thread() in kernel/thread_calls.h
  bool creates_detached;
  uint64_t clear_tid;       // set_tid_address / CLONE_CHILD_CLEARTID
  uint32_t external_index;  // number of external calls made in this batch
  uint32_t external_batch;
  uint64_t signal_mask;
  uint64_t pending_signals;
  uint64_t robust_list;
  uint64_t robust_held;  // first of our robust mutexes it owns, see runtime/sync

  // For annotated requests, see shim/requests.h.
  wire::Channel request;   // connection of the request that it is in
  uint32_t request_depth;  // 0: it is in none
  // See lanes.h.
  uint32_t lane;       // of the heap, where it allocates: its own, or a connection's
  uint32_t held_lane;  // 1 + slot of the connection whose lane nobody else may take; 0: none

  // For the serializability guard, see acquisitions.h.
  wire::Channel input;  // connection that it works for; 0: none
  uint64_t call_code;   // return address and frame of its last call of a locking function
  uint64_t call_frame;

  // Locks it holds that have no room for their owners: read locks, once for each time, and spin
  // locks. Written by the thread itself.
  static constexpr uint32_t kMaxHeld = 8;  // more: not remembered, their owners are unknown
  uint32_t held_count;
  uint32_t held_unknown;  // locks for which there was no room
  uint64_t held[kMaxHeld];

  // Mutexes, spin locks and rwlocks that it took and has not given back. Too high for one whose
  // lock another thread gives back.
  uint32_t locks_held;
  static constexpr uint32_t kMaxLocks = 8;  // more: the innermost are not remembered
  const uint32_t* locks[kMaxLocks];         // their version words
};

void init_threads();
[[nodiscard]] Thread& thread(ThreadId id);
// Lowest free slot, or null when all kMaxThreads are taken. Lock held.
[[nodiscard]] Thread* allocate_thread();
[[nodiscard]] uint32_t live_threads();
// Slots ever used: ids are below this number.
[[nodiscard]] uint32_t thread_slots();
// The slot can be taken again only after reclaim_threads(): the end of a thread and the birth of
// another have no common order, and slot numbers must agree between replicas.
void retire_thread(Thread& thread);  // lock held
void reclaim_threads();              // at the end of a command

// ---- waiting, lock held
void enqueue_waiter(Thread& thread, uint64_t key, uint64_t deadline_ns);
// For waiters whose arrival is not an ordered operation (a mutex parks without one): replicas may
// see the arrivals of a batch in different orders, until settle_arrivals().
void enqueue_unordered_waiter(Thread& thread, uint64_t key, uint64_t deadline_ns, uint32_t tag);
// After one of these two: what the queued thread waits for, if only other threads can give it.
void describe_wait(Thread& thread, wire::WaitKind kind);
[[nodiscard]] inline bool has_owner(wire::WaitKind kind) {
  return kind >= wire::WaitKind::kMutex && kind <= wire::WaitKind::kJoin;
}
[[nodiscard]] uint32_t waiters_for_owners();  // that there are now
// Whether any wait of known kind began in the current command.
[[nodiscard]] bool known_wait_began();
[[nodiscard]] bool began_now(const Thread& waiter);
// At quiescence: visits the unordered arrivals that still wait, by thread id, and queues them in
// that order behind the settled waiters of their key: the same order in every replica.
void settle_arrivals(void (*visit)(Thread& thread));
// Wakes up to `count` waiters of `key` in order of arrival; returns how many.
uint32_t wake(uint64_t key, uint32_t count);
// First waiter of the key, not woken; null if none. And whether there is a second.
[[nodiscard]] Thread* first_waiter(uint64_t key);
[[nodiscard]] Thread* next_waiter(const Thread& thread);
void wake_thread(Thread& thread, Wake reason);
// Moves up to `count` waiters (after the first `skip`) to the tail of another key: FUTEX_REQUEUE.
uint32_t requeue(uint64_t from, uint64_t to, uint32_t count);

}  // namespace evenkeel::sched
