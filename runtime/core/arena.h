#pragma once
// The arena of the virtual kernel: tracked memory, so a rollback restores whatever lies in it,
// including the arena's own bookkeeping. Blocks come in powers of two from 32 bytes; freed blocks
// are reused last in, first out. Blocks are zeroed.
// Threads: callers hold the kernel lock. Memory: kKernelArena, mapped by init().
// Errors:  the arena is 16 GiB of address space; exhaustion is fatal and says so.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::arena {

void init();
[[nodiscard]] void* allocate(size_t bytes);
void release(void* block, size_t bytes);  // with the size it was allocated with
[[nodiscard]] uint64_t used_end();        // everything beyond has never been handed out

template <typename T>
[[nodiscard]] T* create() {
  return static_cast<T*>(allocate(sizeof(T)));  // all-zero is every kernel object's initial state
}
template <typename T>
void destroy(T* object) {
  release(object, sizeof(T));
}

}  // namespace evenkeel::arena
