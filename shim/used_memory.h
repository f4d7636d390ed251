#pragma once
// How far the arenas that are tracked have ever been used: one range each, from the begin to the
// high-water mark. Threads: while all are at rest. Memory: none. Errors: none.
#include <array>

#include "runtime/core/layout.h"

namespace evenkeel::shim {

struct UsedArena {
  Range arena;
  uint64_t used_bytes;
};

std::array<UsedArena, 5> used_arenas();

}  // namespace evenkeel::shim
