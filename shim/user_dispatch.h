#pragma once
// The net under the symbols: Syscall User Dispatch (Linux 5.11) turns every system call from
// outside the library's text into SIGSYS, and its handler answers from the virtual kernel.
#include "runtime/sched/carrier.h"

namespace evenkeel::shim {

// Once, before carriers start.
void install_dispatch();
// On each carrier's kernel thread: from now on its calls are dispatched.
void dispatch_calls_of(sched::Carrier& carrier);

}  // namespace evenkeel::shim
