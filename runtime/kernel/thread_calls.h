#pragma once
#include "runtime/kernel/kernel.h"
#include "runtime/sched/thread.h"

namespace evenkeel::kernel {

void init_thread_calls();  // after arena::init()

// Called by each exiting thread while it can still take locks: whoever stands beside this layer and
// keeps something per thread (runtime/sync: robust mutexes). Before any thread runs.
void set_thread_exit_hook(void (*hook)());

// What gettid() returns: the reported pid for the main thread, pid + slot for the others.
[[nodiscard]] uint32_t tid_of(const sched::Thread& thread);
// Null if no live thread has it. Lock held.
[[nodiscard]] sched::Thread* thread_of_tid(uint32_t tid);

// ---- the word that tells a thread's end (CLONE_CHILD_CLEARTID), for which a join waits

// libc reads it without asking, so it may change only where all replicas agree that it does: at an
// exit for which somebody waits, when somebody asks after the exit, or at the end of the command.
//
// The thread, if a futex wait for `expected` at `address` is a wait for its end; else null.
[[nodiscard]] sched::Thread* thread_of_tid_word(uint64_t address, uint32_t expected);
// In the turn of lock_futex(address). True: the thread has exited, and the word now says so.
bool clear_tid_if_exited(sched::Thread& thread);
// Does the same for the thread whose thread pointer (pthread_t) it is, in turn. Lock not held.
void look_for_exit(uint64_t thread_pointer);
// Waits for its end. 0, or EDEADLK if it waits for the caller's. Lock not held.
[[nodiscard]] int await_exit(uint64_t thread_pointer);
// End of the command, lock held: no word is left that ought to be cleared.
void clear_tids_of_exited();

// ---- detached threads

// The runtime joins them, in an order that all replicas have: libc is not told. Callers have an
// order of their own.
enum class Detached { kYes, kAlready, kEnded };  // kEnded: in an earlier command, the caller joins
[[nodiscard]] Detached detach_thread(uint64_t thread_pointer);
// Whether the threads that the caller creates from now on are detached.
void create_detached(bool on);
[[nodiscard]] bool detached(uint64_t thread_pointer);
// One that has ended in an earlier command, which the caller joins; 0: there is none.
[[nodiscard]] uint64_t next_ended_detached();
// End of the command, lock held.
void list_ended_detached();

}  // namespace evenkeel::kernel
