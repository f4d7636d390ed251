#pragma once
// What can be said of a request whose protocol nobody has described: a line, its first word and
// those behind it. Threads: any. Memory: the text's. Errors: none.
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::host {

struct Phrase {
  static constexpr uint32_t kMaxWords = 6;  // behind the first; others are not looked at
  static constexpr size_t kMaxKindBytes = 32;

  std::string_view kind;  // the first word, or its beginning
  std::array<std::string_view, kMaxWords> words = {};
  uint32_t count = 0;

  // Counted from 1; false: there are not so many.
  [[nodiscard]] bool has(uint32_t word) const { return word <= count; }
  [[nodiscard]] std::string_view word(uint32_t word) const { return words[word - 1]; }
};

[[nodiscard]] Phrase phrase_of(std::string_view line);
// Of an input that is no bytes: "(opened)"; empty: nothing that could conflict.
[[nodiscard]] std::string_view kind_of(wire::InputKind kind);
// Of all lines, but for those behind the `most`th, and what is behind the last end of a line.
[[nodiscard]] std::vector<Phrase> phrases_of(std::string_view text, size_t most);

}  // namespace evenkeel::host
