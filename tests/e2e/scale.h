#pragma once
// How long a test runs: short by default, long in the stress entries of ctest.
#include <cstdint>
#include <cstdlib>

namespace evenkeel::test {

inline uint64_t scale(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace evenkeel::test
