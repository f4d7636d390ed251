#pragma once
// The library's text, from the linker: the only place whose system calls are not dispatched.
#include <cstdint>

// Hidden: or the server's own `etext`, if it exports one, would take the place of ours.
extern "C" {
[[gnu::visibility("hidden")]] extern const char __ehdr_start[];
[[gnu::visibility("hidden")]] extern const char etext[];
}

namespace evenkeel::shim {

inline uint64_t text_begin() { return reinterpret_cast<uint64_t>(__ehdr_start); }
inline uint64_t text_bytes() { return static_cast<uint64_t>(etext - __ehdr_start); }

}  // namespace evenkeel::shim
