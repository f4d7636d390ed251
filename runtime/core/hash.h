#pragma once
// XXH3 (https://xxhash.com, specification in the xxHash repository), one-shot forms only: they use
// no memory but the caller's.
#include <cstddef>
#include <cstdint>

namespace evenkeel {
[[nodiscard]] uint64_t hash64(const void* data, size_t bytes, uint64_t seed);
}  // namespace evenkeel
