#pragma once
// The pump: what the carrier does that found the replica quiescent. It ends groups and commands,
// talks to the coordinator, and starts the next.
#include <cstdint>

#include "runtime/wire.h"

namespace evenkeel::shim {

// The implicit first command, start-up, is under way when the first quiescence comes; but a
// replacement of a lost replica runs nothing before it has joined.
void init_pump(wire::Deck& deck, uint32_t replica, bool replacement);
void on_quiescent();

}  // namespace evenkeel::shim
