#pragma once
// What is run: the servers of examples/zoo, and the modes of Evenkeel.
#include <cstddef>
#include <cstdint>
#include <span>

#include "bench/zoo/checks.h"

namespace evenkeel::zoo {

struct Mode {
  const char* name;
  const char* options;  // of `evenkeel run`, between spaces
};

struct Pattern {
  const char* name;  // of the server, too
  const char* kind;
  const char* modelled_on;
  const char* recommended;  // name of a mode
  Check check;
  size_t connections;
  uint64_t rounds;  // of a run under Evenkeel; natively it goes on until the bug shows
};

std::span<const Mode> modes();
std::span<const Pattern> patterns();

// Null if there is none.
const Mode* find_mode(const char* name);
const Pattern* find_pattern(const char* name);

}  // namespace evenkeel::zoo
