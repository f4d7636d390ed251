#pragma once
// XXH3-128 by the widest vectors that the machine has. Same value whatever the width.
#include <cstddef>

#include "runtime/wire.h"

namespace evenkeel::verify {

using HashFunction = wire::Token (*)(const void* data, size_t bytes, uint64_t seed);

wire::Token hash_sse2(const void* data, size_t bytes, uint64_t seed);
wire::Token hash_avx2(const void* data, size_t bytes, uint64_t seed);

[[nodiscard]] bool machine_has_avx2();
void choose_hash();

[[nodiscard]] bool is_zero_page(const void* page);

}  // namespace evenkeel::verify
