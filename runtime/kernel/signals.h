#pragma once
// Virtual signals: dispositions, masks and delivery. Handlers run on the application thread's own
// stack, at a point where it waits in the virtual kernel or returns from a call.
#include <cstdint>

#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {

void init_signals();
// Pump: a signal for the process arrived (kSignal input). Lock held. Makes a thread ready that will
// run the handler, or records it pending; default action "terminate" ends the server.
void deliver_process_signal(int number);
// Runs the handlers of signals that are pending and unblocked for the calling thread. Lock not held.
// Returns true if any ran; `restart` is true if all of them had SA_RESTART.
bool run_pending_handlers(bool& restart);
[[nodiscard]] bool signal_pending_for_self();

}  // namespace evenkeel::kernel
