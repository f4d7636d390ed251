#pragma once
// Which memory of the process is hashed and tracked: the arenas, and the writable data of the
// executable and its libraries. Also names them in the deck, for reports.
#include "runtime/core/layout.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

// Brings every writable private mapping under the snapshot, remapping file-backed ones to anonymous
// memory first (file pages cannot be write-protected by userfaultfd). Single-threaded, before main.
// `write_shared`: this replica fills the shared image.
void track_memory(wire::Replica& replica, bool write_shared, bool hash);
// The same for a replacement of a lost replica, which tracks nothing before it has taken over
// memory: only remaps and names.
void prepare_memory(wire::Replica& replica);

// A library's writable data that came or went later.
void track_later(wire::Replica& replica, Range range, bool hashed, bool write_shared, bool hash);
void untrack_later(Range range, bool hash);

}  // namespace evenkeel::shim
