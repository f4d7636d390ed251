#pragma once
// The signal to the kernel threads of a replica that does not come to rest. See
// wire::Replica::stop_sequence for what it asks of them.
#include <cstdint>

#include "runtime/host/replicas.h"
#include "runtime/wire.h"

namespace evenkeel::host {

// Asks the replicas of the bit set to let threads run that are ready, in place of those that run.
void preempt(const wire::Deck& deck, const Replicas& replicas, uint32_t mask);
// Asks them to end the execution of command `sequence`.
void stop(wire::Deck& deck, const Replicas& replicas, uint32_t mask, uint32_t sequence);

}  // namespace evenkeel::host
