#pragma once
// What the kernel keeps of a process and the virtual kernel passes on: working directory, file mode
// mask, core limit, credentials.
// Threads: the only one there is. Memory: none. Errors: kernel errno.
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"

namespace evenkeel::kernel {

// This process takes them from another replica, after all else: what comes later may be forbidden.
// Not taken over: a changed root directory, capabilities set one by one, no_new_privs.
sys::Result take_over_identity(const Peer& peer);

}  // namespace evenkeel::kernel
