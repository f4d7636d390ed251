#pragma once
// The server as a process: its end, its identity.
#include <cstdint>

#include "runtime/kernel/kernel.h"
#include "runtime/sched/thread.h"

namespace evenkeel::kernel {

// Before the runtime changes limits of its own. After init_fds().
void init_process();

// Ends the server: the calling thread never returns; no other thread runs on. Lock not held.
[[noreturn]] void end_process(int status, int signal);
// The same from the pump. Lock held.
void mark_ended(int status, int signal);
void mark_daemonise();
[[nodiscard]] bool ended();

struct ProcessOutcome {
  bool ended;
  bool daemonise;
  int status;
  int signal;  // that ended it; 0: it exited with `status`
};
[[nodiscard]] ProcessOutcome process_outcome();
void reset_process_outcome();  // a command begins
// A new thread's name, signal mask and the like. Lock held.
void inherit_thread_attributes(sched::Thread& child, const sched::Thread& parent);
// clone() and fork() that would make a process.
long fork_like(const Call& call);

}  // namespace evenkeel::kernel
