#pragma once
// How far the arenas that are tracked have ever been used: from the begin to the high-water mark.
// Threads: while all are at rest. Memory: one static list. Errors: none.
#include <array>

#include "runtime/core/layout.h"

namespace evenkeel::shim {

struct UsedArena {
  Range arena;
  uint64_t used_bytes;
};

std::array<UsedArena, 5> used_arenas();

// The same for the snapshot, whose scan would walk the rest in vain; of the heap and its metadata,
// which are used here and there, the very parts.
void tell_used_memory();

}  // namespace evenkeel::shim
