#pragma once
// A leak: replicas differ even after sequential re-execution. All take the primary's state, which
// is its memory.
#include <cstdint>

#include "runtime/wire.h"

namespace evenkeel::shim {

// kAdopt, on every replica. Pump only; returns when memory and image agree everywhere.
void adopt_state(wire::Deck& deck, uint32_t replica);

}  // namespace evenkeel::shim
