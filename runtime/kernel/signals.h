#pragma once
// Virtual signals: dispositions, masks and delivery. Handlers run on the application thread's own
// stack (never on an alternate one), at a point where it waits in the virtual kernel or returns
// from a call that changes its mask or sends it a signal. Faults are not virtual signals, but can
// have the server's own handlers.
//
// A signal for the process goes to a thread that awaits it (sigwait), else to the sender if it does
// not block it, else to the lowest-numbered waiting thread that does not, else it stays pending.
// Order: everything but a kSignal input is ordered on one version word.
// Threads: as noted. Memory: kernel arena. Errors: none.
#include <signal.h>
#include <ucontext.h>

#include <cstdint>

#include "runtime/kernel/kernel.h"
#include "runtime/sched/thread.h"

namespace evenkeel::kernel {

// Takes over the dispositions and the mask that the process has now: before the runtime installs
// handlers of its own.
void init_signals();
// For the initial thread.
[[nodiscard]] uint64_t inherited_signal_mask();

// Pump: a signal for the process arrived (kSignal input). Lock held. Makes a thread ready that will
// run the handler, or records it pending; default action "terminate" ends the server.
void deliver_process_signal(int number);
// Runs the handlers of signals that are pending and unblocked for the calling thread. Lock not
// held. Returns true if any ran; `restart` is true if all of them had SA_RESTART.
bool run_pending_handlers(bool& restart);
[[nodiscard]] bool signal_pending_for_self();

// ---- faults: the shim's side; the calling thread has just faulted

// True if a handler of the server is to be run.
[[nodiscard]] bool handles_fault(int number);
// Where its stack begins: at the thread's alternate one if it asked for that, else as interrupted.
[[nodiscard]] uint64_t handler_stack(int number, uint64_t interrupted);
// Runs the handler, which finds the context and may change it. Lock not held.
void run_fault_handler(siginfo_t& info, ucontext_t& context);
// The calling thread is about to end the process. If it does so in the handler of a fault, this is
// the end of its execution by that fault, and does not return.
void fail_if_handling_fault();

// The mask of epoll_pwait, ppoll and pselect6 while the call lasts; null changes nothing. Lock not
// held at either end.
class SignalMaskScope {
 public:
  explicit SignalMaskScope(const uint64_t* mask);
  ~SignalMaskScope();
  SignalMaskScope(const SignalMaskScope&) = delete;
  SignalMaskScope& operator=(const SignalMaskScope&) = delete;

 private:
  bool changed_;
  uint64_t saved_ = 0;
};

// clone(): a new thread has its parent's mask, nothing pending and no alternate stack. Lock held.
void inherit_signals(sched::Thread& child, const sched::Thread& parent);

}  // namespace evenkeel::kernel
