#pragma once
// Accesses to chosen bytes of the server's memory, one by one: see wire_watch.h.
//
//   access ──SIGSEGV──► noted, page opened, single step ──SIGTRAP──► page closed, others may run
//
// One thread runs at a time, so that nobody sees the page while it is open. What the kernel itself
// would access must be announced, or it would see EFAULT.
// Threads: carriers, one at a time. Memory: static; the notes lie in the deck. Errors: none; a page
// that cannot be protected is not watched.
#include <signal.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include "snapshot/snapshot.h"

namespace evenkeel::shim {

// The pump, around an execution. While `watching()` the rest may be asked.
void begin_watch();
void end_watch();
[[nodiscard]] bool watching();
// A step is under way: the thread is not to be interrupted.
[[nodiscard]] bool stepping();

// True: the fault was ours.
[[nodiscard]] bool handle_watched_access(const siginfo_t& info, ucontext_t& context);
[[nodiscard]] bool handle_step(const siginfo_t& info, ucontext_t& context);

// What the execution wrote to.
void note_written(const snapshot::DirtyPages& dirty);

// A real system call is about to write there: the page is watched no longer.
void stop_watching(const void* address, size_t bytes);

}  // namespace evenkeel::shim
