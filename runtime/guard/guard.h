#pragma once
// The serializability guard in the primary: watches who acquires which lock for which input, and at
// the end of each parallel group tells the coordinator which interleavings it suspects. What is
// suspected is decided there (runtime/host/guard.h) and known here by the deck's table of learnt
// ones.
//
// Threads: the pump only.
// Memory:  see acquisitions.h and scan.h.
// Errors:  none; groups that could not be checked are counted.
#include "runtime/wire.h"

namespace evenkeel::guard {

// After init_threads(), before the first command.
void init(wire::Deck& deck, uint32_t replica, uint32_t carriers);
// An execution begins: as primary, in parallel, it is watched.
void begin();
// The threads are at rest: checks what they did since begin() or the last end_group().
void end_group();

}  // namespace evenkeel::guard
