#pragma once
// A copy of this process that only keeps its memory, for whoever stores it: fork(), of which the
// kernel copies page tables but no page. The service goes on meanwhile, and pays a copy for each
// page that it writes while the other lives.
// Threads: the pump. Memory: none. Errors: -errno in the result.
#include <cstdint>

namespace evenkeel::shim {

// How long it waits to be ended; nobody may have taken note of it.
constexpr uint64_t kFrozenLifeSeconds = 120;

// Process id of the copy, a child of the parent of this process.
[[nodiscard]] int32_t freeze();

}  // namespace evenkeel::shim
