#pragma once
// The server as a process: its end, its identity.
#include <cstdint>

namespace evenkeel::kernel {

// Ends the server: the calling thread never returns; no other thread runs on. Lock not held.
[[noreturn]] void end_process(int status, int signal);
// The same from the pump. Lock held.
void mark_ended(int status, int signal);
void mark_daemonise();
[[nodiscard]] bool ended();

}  // namespace evenkeel::kernel
