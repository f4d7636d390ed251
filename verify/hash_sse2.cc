#include "verify/hash.h"

#define EVENKEEL_HASH hash_sse2
#include "verify/xxh3.inc"
