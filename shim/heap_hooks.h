#pragma once
// What the deterministic heap needs from above it, and what the malloc family needs besides it.
#include <cstddef>

namespace evenkeel::shim {

// Maps the heap at the first allocation, which the dynamic linker makes before any constructor.
void ensure_heap();
// The order of segment-taking gets its version word; before threads run.
void init_heap_order();
[[nodiscard]] size_t libc_usable_bytes(void* pointer);

}  // namespace evenkeel::shim
