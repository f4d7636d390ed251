// Compiled with -mavx2; called only where machine_has_avx2().
#include "verify/hash.h"

#define EVENKEEL_HASH hash_avx2
#include "verify/xxh3.inc"
