#pragma once
// How injected code dies: one line on stderr that names the fact, then a trap. On in release.
#include <cstdint>

namespace evenkeel {
[[noreturn, gnu::cold]] void die(const char* file, int line, const char* what, const char* key,
                                 const char* text, int64_t number);
}  // namespace evenkeel

#define EVENKEEL_DIE(what, key, number) \
  ::evenkeel::die(__FILE__, __LINE__, what, key, nullptr, static_cast<int64_t>(number))
#define EVENKEEL_CHECK(condition)      \
  (static_cast<bool>(condition)        \
       ? static_cast<void>(0)          \
       : ::evenkeel::die(__FILE__, __LINE__, "check failed", "expression", #condition, 0))
