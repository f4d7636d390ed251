#pragma once
// The net under the symbols: Syscall User Dispatch (Linux 5.11) turns every system call from
// outside the library's text into SIGSYS, and its handler answers from the virtual kernel.
#include "runtime/sched/carrier.h"

namespace evenkeel::shim {

// Installs the handlers of SIGSYS and of faults. Once, before carriers start.
void install_handlers();
// On each carrier's kernel thread: from now on its calls are dispatched.
void dispatch_calls_of(sched::Carrier& carrier);

// The first fault of the current command, for the pump's result; number 0: none.
struct Fault {
  int number;
  uint64_t address;
  uint64_t code;
  uint32_t thread;
};
[[nodiscard]] Fault take_fault();
void discard_fault();

}  // namespace evenkeel::shim
