#include "runtime/kernel/chacha.h"

#include <bit>
#include <cstring>

namespace evenkeel::kernel {
namespace {

void quarter_round(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}

void double_round(uint32_t* s) {
  for (int i = 0; i < 4; ++i) quarter_round(s[i], s[i + 4], s[i + 8], s[i + 12]);
  for (int i = 0; i < 4; ++i) {
    quarter_round(s[i], s[4 + (i + 1) % 4], s[8 + (i + 2) % 4], s[12 + (i + 3) % 4]);
  }
}

}  // namespace

void chacha20_block(const ChachaKey& key, uint32_t counter, const ChachaNonce& nonce,
                    uint8_t* out) {
  uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};  // "expand 32-byte k"
  std::memcpy(start + 4, key.words, sizeof key.words);
  start[12] = counter;
  std::memcpy(start + 13, nonce.words, sizeof nonce.words);
  uint32_t state[16];
  std::memcpy(state, start, sizeof state);
  for (int i = 0; i < 10; ++i) double_round(state);
  for (int i = 0; i < 16; ++i) state[i] += start[i];
  std::memcpy(out, state, sizeof state);
}

}  // namespace evenkeel::kernel
