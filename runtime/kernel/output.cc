#include "runtime/kernel/output.h"

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/hash.h"
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {
namespace {

// Runtime memory: reset by every command, so a rollback has nothing to undo.
struct Outputs {
  uint32_t command;
  uint64_t used;
  uint64_t sum_low, sum_high;
};
constinit Outputs g{};

constexpr uint64_t kAlign = 8;
constexpr uint64_t align(uint64_t bytes) { return (bytes + kAlign - 1) & ~(kAlign - 1); }

// Spreads one channel's digest over the sum; the two halves use independent seeds.
struct Mixed {
  uint64_t low, high;
};
Mixed mix(uint64_t channel, uint64_t digest) {
  const uint64_t pair[2] = {channel, digest};
  return {hash64(pair, sizeof pair, 1), hash64(pair, sizeof pair, 2)};
}

void extend(OutputChain& chain, wire::OutputKind kind, uint64_t channel, const void* payload,
            uint32_t bytes) {
  if (chain.command == g.command) {  // replaces what it added before
    const Mixed before = mix(channel, chain.digest);
    g.sum_low -= before.low;
    g.sum_high -= before.high;
  }
  chain.command = g.command;
  chain.digest = hash64(payload, bytes, chain.digest + static_cast<uint64_t>(kind) + bytes);
  const Mixed after = mix(channel, chain.digest);
  g.sum_low += after.low;
  g.sum_high += after.high;
}

uint8_t* area() { return deck().outputs[replica_index()]; }

}  // namespace

uint64_t output_room() {
  constexpr uint64_t kReserve = 1 << 16;  // records without payload always fit
  const uint64_t taken = g.used + sizeof(wire::OutputRecord) + kReserve;
  return taken < wire::kOutputBytes ? wire::kOutputBytes - taken : 0;
}

void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel, const Buffers& payload,
          uint32_t bytes) {
  const uint64_t size = sizeof(wire::OutputRecord) + align(bytes);
  if (g.used + size > wire::kOutputBytes) EVENKEEL_DIE("output area overrun", "bytes", bytes);
  const wire::OutputRecord record{kind, bytes, channel};
  uint8_t* at = area() + g.used;
  std::memcpy(at, &record, sizeof record);
  uint8_t* body = at + sizeof record;
  uint32_t copied = 0;
  for (uint32_t i = 0; i < payload.count && copied < bytes; ++i) {
    const size_t piece =
        payload.vectors[i].iov_len < bytes - copied ? payload.vectors[i].iov_len : bytes - copied;
    std::memcpy(body + copied, payload.vectors[i].iov_base, piece);
    copied += static_cast<uint32_t>(piece);
  }
  g.used += size;
  extend(chain, kind, channel, body, bytes);
}

void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel) {
  emit(chain, kind, channel, Buffers{nullptr, 0}, 0);
}

void emit(OutputChain& chain, wire::OutputKind kind, uint64_t channel, const void* payload,
          uint32_t bytes) {
  const iovec vector{const_cast<void*>(payload), bytes};
  emit(chain, kind, channel, Buffers{&vector, 1}, bytes);
}

void reset_outputs(uint32_t command_sequence) { g = {command_sequence, 0, 0, 0}; }
wire::Token output_digest() { return {g.sum_low, g.sum_high}; }
uint64_t output_used() { return g.used; }

}  // namespace evenkeel::kernel
