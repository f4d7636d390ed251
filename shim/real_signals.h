#pragma once
// The real signals of a replica process. All of the server's are virtual, so each real one means
// something to the runtime only: SIGSYS is a system call, faults are faults, SIGURG is the
// watchdog.
#include <signal.h>
#include <ucontext.h>

#include <cstdint>

#include "runtime/sched/carrier.h"

namespace evenkeel::shim {

using SignalHandler = void(int, siginfo_t*, void*);

// SA_NODEFER, no mask, restorer of our own; dies if the kernel refuses.
void install_handler(int signal, SignalHandler* handler, unsigned long flags);

// Each carrier has a stack for SA_ONSTACK handlers.
void give_alternate_stack(const sched::Carrier& carrier);
// That of the carrier that executes this. rt_sigreturn() installs the alternate stack that its
// frame names. A frame that was pushed on one carrier may be popped on another: with the first
// one's stack the two would push their fault frames over each other. So whoever returns from such
// a frame stores this in uc_stack, and suspends no more.
[[nodiscard]] const stack_t& alternate_stack();
[[nodiscard]] bool on_alternate_stack(uint64_t stack_pointer);

[[nodiscard]] bool in_runtime_text(uint64_t code);

inline uint64_t& reg(ucontext_t& context, int index) {
  return reinterpret_cast<uint64_t&>(context.uc_mcontext.gregs[index]);
}

}  // namespace evenkeel::shim
