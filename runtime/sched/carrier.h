#pragma once
// Carriers run application threads. A carrier is a kernel thread of the runtime standing on its own
// stack; it takes a ready thread, switches to its saved context and gets control back when that
// thread is suspended. One running at a time makes a replica serial, several make it parallel.
//
// When no thread is ready or running the replica is quiescent: the carrier that finds out becomes
// the pump and calls Callbacks::quiescent, which makes threads ready again (or never returns).
//
// The run queue and everything here is runtime memory; at quiescence it is empty, so a rollback,
// which happens only then, has nothing to restore in it.
// Threads: make_ready, yield, suspend... with the kernel lock as noted. Errors: none.
#include <cstdint>

#include "runtime/sched/thread.h"

namespace evenkeel::sched {

constexpr uint32_t kMaxCarriers = 60;               // = slots for their ids in the deck
constexpr uint32_t kCarrierStackBytes = 256 << 10;  // each, plus a guard page

struct Carrier {
  Carrier* self;       // at %gs:0
  Thread* current;     // null: in the scheduler or the pump
  void* scheduler_sp;  // where suspended threads return to
  uint32_t index;
  int32_t tid;  // kernel thread
  uint64_t switches;
};

// The carrier that executes this code. Never cache it over anything that can switch threads: the
// thread may continue on another carrier.
inline Carrier& carrier() {
  Carrier* result;
  asm volatile("mov %%gs:0, %0" : "=r"(result));
  return *result;
}
// The application thread that executes this code.
inline Thread& self() { return *carrier().current; }

struct Callbacks {
  void (*quiescent)();  // lock not held; on the pump's private stack
  void (*carrier_started)(
      Carrier&);  // on each new carrier's kernel thread, before it runs anything
};

// False until start(): code of the one thread there is then must not ask for carrier() or self().
[[nodiscard]] bool started();

// By the owner: he has taken a lock, or gives one back. `version` is its version word.
inline void took_lock(const uint32_t& version) {
  if (!started()) return;
  Thread& thread = self();
  if (thread.locks_held < Thread::kMaxLocks) thread.locks[thread.locks_held] = &version;
  ++thread.locks_held;
}
void gives_lock(const uint32_t& version);

// Turns the calling kernel thread into carrier 0: leaves its stack for ever and runs `first`, or,
// if that is null, becomes the pump at once.
[[noreturn]] void start(const Callbacks& callbacks, Thread* first);
// Creates carriers up to `count`. From the pump only.
void add_carriers(uint32_t count);
[[nodiscard]] uint32_t carrier_count();
[[nodiscard]] const Carrier& carrier_at(uint32_t index);

// How many threads may run at once: 1 is serial. From the pump only.
void set_parallelism(uint32_t running);
[[nodiscard]] bool serial();

// Lock held.
void make_ready(Thread& thread);
// What unlock() owes to idle carriers: counted with the lock held, called after its release.
[[nodiscard]] uint32_t take_wakeups();
void call_idle_carriers(uint32_t count);
// Lock held on entry, not held on return. The caller has queued the thread somewhere (run queue,
// wait queue, turn list), or nowhere if it is never to run again.
void suspend_locked();

// Pump only.
[[nodiscard]] bool anything_ready();
[[nodiscard]] uint64_t total_switches();

// Lock not held: lets others run first.
void yield();
// The same until none of them can go on without it. Serial replicas only.
void yield_to_all();

// Ends the execution early: ready threads are dropped, running ones are dropped at their next
// suspension; then the pump runs. The state is good for nothing but a rollback.
void stop();
[[nodiscard]] bool stopping();
// Suspends the calling thread for ever; only after stop() or by an exiting thread. Lock not held.
[[noreturn]] void abandon();
// From the pump, after a rollback or before the next execution.
void clear_stop();

}  // namespace evenkeel::sched
