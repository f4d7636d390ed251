#include "runtime/core/arena.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"

namespace evenkeel::arena {
namespace {

constexpr unsigned kMinShift = 5;
constexpr unsigned kClasses = 40;  // up to 2^39 bytes, more than the arena

struct FreeBlock {
  FreeBlock* next;
};
struct State {
  uint64_t next;
  FreeBlock* free[kClasses];
};

State& state() { return *reinterpret_cast<State*>(kKernelArena.begin); }

unsigned shift_of(size_t bytes) {
  const auto shift = static_cast<unsigned>(std::bit_width(bytes == 0 ? 0 : bytes - 1));
  return shift < kMinShift ? kMinShift : shift;
}

}  // namespace

void init() {
  const auto mapped = sys::mmap(
      reinterpret_cast<void*>(kKernelArena.begin), kKernelArena.bytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot map the kernel arena", "errno", mapped.err());
  state().next = kKernelArena.begin + sizeof(State);
}

void* allocate(size_t bytes) {
  const unsigned shift = shift_of(bytes);
  State& s = state();
  if (FreeBlock* block = s.free[shift]) {
    s.free[shift] = block->next;
    std::memset(block, 0, size_t{1} << shift);
    return block;
  }
  // Small blocks are aligned to their size up to a cache line, so that hot objects do not straddle.
  const uint64_t size = uint64_t{1} << shift;
  const uint64_t alignment = size < 64 ? size : size < kPageBytes ? 64 : kPageBytes;
  const uint64_t begin = (s.next + alignment - 1) & ~(alignment - 1);
  if (begin + size > kKernelArena.end()) EVENKEEL_DIE("kernel arena full", "bytes", bytes);
  s.next = begin + size;
  return reinterpret_cast<void*>(begin);
}

void release(void* block, size_t bytes) {
  const unsigned shift = shift_of(bytes);
  auto* freed = static_cast<FreeBlock*>(block);
  freed->next = state().free[shift];
  state().free[shift] = freed;
}

uint64_t used_end() { return page_ceil(state().next); }

}  // namespace evenkeel::arena
