#include "bench/load/pattern.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace evenkeel::load {
namespace {

constexpr size_t kLetterAt = 7;

using Block = std::array<char, kBlockBytes>;

void put_hex(char* out, uint32_t value, size_t digits) {
  for (size_t i = digits; i-- != 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

Block make_block(Stamp stamp) {
  Block block;
  put_hex(block.data(), stamp.tag, kLetterAt);
  put_hex(block.data() + kLetterAt + 1, stamp.version, 8);
  return block;
}

char letter_of(size_t block_index) {
  return block_index == 0 ? ':' : static_cast<char>('a' + block_index % 26);
}

bool parse_hex(std::string_view text, uint32_t& value) {
  const char* end = text.data() + text.size();
  return std::from_chars(text.data(), end, value, 16).ptr == end;
}

}  // namespace

void append_pattern(std::string& out, Stamp stamp, size_t bytes) {
  Block block = make_block(stamp);
  for (size_t at = 0; at < bytes; at += kBlockBytes) {
    block[kLetterAt] = letter_of(at / kBlockBytes);
    out.append(block.data(), std::min(kBlockBytes, bytes - at));
  }
}

bool is_pattern(std::string_view value, Stamp stamp) {
  Block block = make_block(stamp);
  for (size_t at = 0; at < value.size(); at += kBlockBytes) {
    block[kLetterAt] = letter_of(at / kBlockBytes);
    const size_t bytes = std::min(kBlockBytes, value.size() - at);
    if (std::memcmp(value.data() + at, block.data(), bytes) != 0) return false;
  }
  return true;
}

std::optional<Stamp> read_pattern(std::string_view value) {
  if (value.size() < kBlockBytes) return std::nullopt;
  Stamp stamp{};
  if (!parse_hex(value.substr(0, kLetterAt), stamp.tag)) return std::nullopt;
  if (!parse_hex(value.substr(kLetterAt + 1, 8), stamp.version)) return std::nullopt;
  if (!is_pattern(value, stamp)) return std::nullopt;
  return stamp;
}

}  // namespace evenkeel::load
