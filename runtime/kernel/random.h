#pragma once
// Random bytes that are the same in all replicas: getrandom(), /dev/urandom, and whoever else wants
// some. A ChaCha20 stream per thread, keyed from a pool into which each batch's seed (64 fresh bits
// of the coordinator's getrandom()) is stirred before its first use in that batch.
//
// How threads interleave does not matter: a thread's stream depends on the pool, its id and how
// many blocks it has drawn, all of it tracked memory that every replica has alike.
//
// Not for long-lived secrets: whoever learns the pool at one moment knows what follows until four
// more seeds have been stirred in, and right after the start it holds only the start's 64 bits.
// Threads: any; takes the kernel lock unless the caller holds it. Errors: none.
#include <cstddef>

namespace evenkeel::kernel {

void init_random();
void random_bytes(void* out, size_t bytes);

}  // namespace evenkeel::kernel
