#pragma once
// Values that say who wrote them, so that a mixture of two shows.
// A value is a row of 16-byte blocks "ttttttt:vvvvvvvv" (tag, version, in hexadecimal), where the
// colon of block i is replaced by a letter of i; the last block is cut to the value's size.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evenkeel::load {

constexpr uint32_t kTagBits = 28;
constexpr size_t kBlockBytes = 16;

struct Stamp {
  uint32_t tag;
  uint32_t version;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

void append_pattern(std::string& out, Stamp stamp, size_t bytes);
bool is_pattern(std::string_view value, Stamp stamp);
// The stamp of a value that is whole: needs at least one block.
std::optional<Stamp> read_pattern(std::string_view value);

}  // namespace evenkeel::load
