#pragma once
// The ChaCha20 block function (RFC 8439, section 2.3).
#include <cstdint>

namespace evenkeel::kernel {

struct ChachaKey {
  uint32_t words[8];
};
struct ChachaNonce {
  uint32_t words[3];
};
constexpr uint32_t kChachaBlockBytes = 64;

// out: 64 bytes of key stream, little endian.
void chacha20_block(const ChachaKey& key, uint32_t counter, const ChachaNonce& nonce, uint8_t* out);

}  // namespace evenkeel::kernel
