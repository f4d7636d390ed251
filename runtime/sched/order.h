#pragma once
// The order log. Every ordered operation carries a version word in its object; the primary logs,
// per thread, the version that each operation saw, and a follower's thread waits until the object
// has come to that version. (Idea: the version-vector form of deterministic replay, as in Eve's and
// DoublePlay's recorded lock orders.)
//
// A serial follower runs what a thread does between two operations only when the second is due:
// see await_closing().
//
// A follower whose operation does not match its log (other tag, version already passed, log
// complete without it) has diverged: it stops early.
//
// Threads: any application thread; with parallel followers the version words are read without the
//          lock, see turn_is_now().
// Memory:  the log lies in the deck; cursors in runtime memory, reset by begin().
#include <cstdint>

#include "runtime/sched/thread.h"
#include "runtime/wire.h"

namespace evenkeel::sched {

enum class OrderMode : uint32_t {
  // Nothing is logged: independent order, sequential execution, one replica. Versions stand still,
  // because how often threads try (a worker that finds the queue empty) may differ.
  kFree,
  kRecord,  // the primary
  kReplay,  // a follower
};

// What an operation is; 8 bits of each log entry.
enum class Tag : uint8_t {
  kMutex = 1,
  kCondition,
  kRwlock,
  kSemaphore,
  kBarrier,
  kSpin,
  kOnce,
  kFutex,
  kObject,  // a virtual kernel object: socket, pipe, eventfd, epoll
  kTable,   // fd, thread, address or timer tables
  kHeap,    // a lane takes a segment
  kUser,    // annotations
};

void init_order(wire::Deck& deck, uint32_t replica);
// Pump only. `sequence` is the command's; kRecord resets the log for it.
void begin_order(OrderMode mode, uint32_t sequence);
[[nodiscard]] OrderMode order_mode();
// Where replicas are compared and nothing is logged. A single one counts on: the guard tells by the
// versions who had a lock before whom.
[[nodiscard]] bool versions_stand_still();
[[nodiscard]] uint32_t order_sequence();  // 0 during start-up
[[nodiscard]] uint64_t ordered_operations();
[[nodiscard]] uint32_t operations_of(const Thread& thread);  // in this command

// Takes the kernel lock when it is this operation's turn on `version`, and counts the operation.
// Everything done before the unlock happens in the recorded order of that version word.
void lock_ordered(uint32_t& version, Tag tag);

class OrderedGuard {
 public:
  OrderedGuard(uint32_t& version, Tag tag) { lock_ordered(version, tag); }
  ~OrderedGuard();
  OrderedGuard(const OrderedGuard&) = delete;
  OrderedGuard& operator=(const OrderedGuard&) = delete;
};

// For locks that are taken without the kernel lock. await_turn() returns when the calling thread's
// next operation is due on `version` (at once unless replaying); after the acquisition passed()
// counts and logs it. Between the two the thread may block in the lock itself.
void await_turn(const uint32_t& version, Tag tag);
void passed(uint32_t& version, Tag tag);

// Operations with a recorded outcome (try-locks, futex waits, timed waits...). Replaying, returns
// true and the outcome that the primary logged; otherwise false, and the caller decides and calls
// log_outcome(). A recorded "failed" takes no turn; "succeeded" continues with await_turn().
bool recorded_failure(Tag tag, bool& failed);
void log_failure(Tag tag);

// The general form, for locks that may also fail or block until the replica is quiescent.
enum class Turn : uint32_t {
  kOpen,     // not replaying: the caller decides, then calls passed() or log_failure()
  kDue,      // the caller acquires, blocking in the lock if it must, then calls passed()
  kFailed,   // the operation failed; nothing is due
  kBlocked,  // the primary's thread was still blocked in it when the primary became quiescent: all
             // others are parked now, and the caller must find the lock taken and wait in it
};
[[nodiscard]] Turn await_outcome(const uint32_t& version, Tag tag);
// passed() for a version word that the caller has advanced itself, by a sequentially consistent
// read-modify-write that saw `seen`. Only its low 24 bits count as the version.
void passed_at(const uint32_t& version, uint32_t seen, Tag tag);
// The caller sees that this replica is not where its log says. Lock not held.
[[noreturn]] void diverge();

// Called where the runtime returns to the application through a symbol (not from a system call that
// libc makes for itself: it may hold locks that we do not know). A serial follower's thread that
// holds no lock waits until the operation that comes next in its log is due: so whatever it looks
// at before it takes a lock, it looks at after the sections that had the lock earlier. Run eagerly,
// a check made too early by the primary would be made too early here as well, and show in nothing.
//
// Nobody needs such a thread to get on: all that others wait for is ordered, or a lock. But for
// words in memory that the application spins on; so when nothing else can run and the primary's
// group is complete, or somebody spins, one such thread is let go.
extern bool g_closing;
void await_closing_operation();
inline void await_closing() {
  if (g_closing) await_closing_operation();
}
// Pump only, until the next begin_order(): threads do not wait for closing operations, but run as
// early as the primary's may have.
void run_early();
// Whether a lock with this version word, of an operation of this kind, is held. Before any thread
// runs; never called: no lock ever is.
void set_lock_probe(bool (*held)(Tag tag, uint64_t version_word));

// Where a follower first met its log's contradiction in the current command.
struct Contradiction {
  bool found;
  ThreadId thread;
  uint64_t operation;  // number within the thread's log
  uint32_t
      entry;  // OrderEntry::what; what the log has there; 0: nothing, the primary's log is complete
  Tag tag;    // what the thread was about to do; 0: unknown
  uint64_t object;   // address of the version word; 0: unknown
  uint32_t version;  // that it had come to
};
[[nodiscard]] const Contradiction& contradiction();

// Threads that wait for their turn or for the log. Lock held.
[[nodiscard]] bool order_waiters();
// Lock held: makes those ready that wait for an entry and now have it.
void poll_order_waiters();
// Lock held, nothing else to do: true if threads have become ready that will block in locks as the
// primary's did. False: the wait queues are settled (and the primary has logged who is blocked),
// the replica is quiescent.
[[nodiscard]] bool settle_waiters();
// Called by a carrier with nothing else to do, lock held (released while waiting): waits for the
// primary and makes threads ready that can go on. Declares divergence if none ever can.
void wait_for_order(bool others_running);
void drop_order_waiters();
// Primary: tells followers that its log will not grow for a while.
void announce_quiet();
// Pump, at each quiescence within a command.
void end_group();
[[nodiscard]] bool closing_waiters();
// Lock not held: the caller spins, perhaps for one of them, and is going to yield().
void note_spin();

}  // namespace evenkeel::sched
