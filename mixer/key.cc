// Inlined, so that nothing of xxHash's has a name of its own in the server's process.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "mixer/mixer.h"

namespace evenkeel::mixer {

uint64_t key_id(uint64_t space, std::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), space);
}

}  // namespace evenkeel::mixer
