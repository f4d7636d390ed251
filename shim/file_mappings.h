#pragma once
// The files that another replica has mapped since its start (libraries loaded later, data files),
// mapped here at the same addresses.
// Threads: the pump. Memory: static, and address space as large as theirs. Errors: kernel errno.
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"

namespace evenkeel::shim {

// After the peer's tracked memory was taken over. A file that is no longer found under its name is
// replaced by a copy of what the peer sees of it.
sys::Result take_over_file_mappings(const Peer& peer);

}  // namespace evenkeel::shim
