#pragma once
// Outputs: what the server wrote, collected in the deck until the replicas agree. Each channel's
// records are digested in a chain of their own, because records of different channels have no order
// between them; the sum over channels is the replica's output digest.
// Threads: kernel lock held. Errors: a full output area closes every window (room() is 0).
#include <cstdint>

#include "runtime/kernel/object.h"
#include "runtime/wire.h"

namespace evenkeel::kernel {

// Lies in the object that writes.
struct OutputChain {
  uint64_t digest;
  uint32_t command;  // in which it was last extended
  uint32_t reserved;
};

// Bytes that a payload may still have.
[[nodiscard]] uint64_t output_room();
// Appends one record with the first `bytes` bytes of the buffers. The caller asked output_room().
void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel, const Buffers& payload,
          uint32_t bytes);
void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel);  // no payload
void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel, const void* payload,
          uint32_t bytes);

void reset_outputs(uint32_t command_sequence);
[[nodiscard]] wire::Token output_digest();
[[nodiscard]] uint64_t output_used();

}  // namespace evenkeel::kernel
