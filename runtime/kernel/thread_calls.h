#pragma once
#include "runtime/kernel/kernel.h"
#include "runtime/sched/thread.h"

namespace evenkeel::kernel {

// Called by each exiting thread while it can still take locks: whoever stands beside this layer and
// keeps something per thread (runtime/sync: robust mutexes). Before any thread runs.
void set_thread_exit_hook(void (*hook)());

// What gettid() returns: the reported pid for the main thread, pid + slot for the others.
[[nodiscard]] uint32_t tid_of(const sched::Thread& thread);
// Null if no live thread has it. Lock held.
[[nodiscard]] sched::Thread* thread_of_tid(uint32_t tid);

}  // namespace evenkeel::kernel
