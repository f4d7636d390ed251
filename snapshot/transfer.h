#pragma once
// One region's memory and bookkeeping, as another replica has it committed.
// Threads: the pump. Memory: the region's own. Errors: kernel errno; the region is then unusable.
#include "runtime/core/peer.h"
#include "snapshot/region.h"

namespace evenkeel::snapshot::transfer {

// Memory of `own` (a region just inserted, readable and writable, not tracked) becomes what the
// image of `theirs` is; `has_image`, used ranges and wanted protections become theirs, but no
// protection is put in force. Content of shared images is read from the image itself.
sys::Result copy(const Peer& peer, const Region& theirs, Region& own, bool shared);

}  // namespace evenkeel::snapshot::transfer
