#pragma once
namespace evenkeel::shim {

// LD_PRELOAD=libevenkeel.so server args: the process becomes `evenkeel run -- server args`, keeping
// its pid. Returns only if that is impossible, after saying why on stderr, with the exit status.
[[nodiscard]] int become_coordinator(char** environment);

// Takes the library and the runtime's variables out of the environment that main will see.
void clean_environment(char** environment);

}  // namespace evenkeel::shim
