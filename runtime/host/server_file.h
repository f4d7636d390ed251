#pragma once
// The server before it runs: where it is, and whether a library can be preloaded into it.
#include <string>

namespace evenkeel::host {

// Searches PATH as a shell does. Throws Refusal with 127 or 126.
[[nodiscard]] std::string find_server(const std::string& word);

// Refuses (exit 2) what preloading cannot reach: static, setuid, another machine's. Scripts pass:
// their interpreter leads to the server.
void check_server(const std::string& path);

// lib/libevenkeel.so beside the executable, or EVENKEEL_LIBRARY. Throws Refusal.
[[nodiscard]] std::string find_library();

}  // namespace evenkeel::host
