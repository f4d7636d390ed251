#pragma once
// What the process that loaded the library is. Decided once, at the first call that asks, which can
// come from the dynamic linker before any constructor has run: so from /proc/self only.
#include <cstdint>

namespace evenkeel::shim {

enum class Mode : uint8_t {
  kUndecided = 0,
  kPassive,  // not the server (a wrapper, or EVENKEEL_TARGET names another program): libc as it is
  kLaunch,   // the server, started by its user: becomes `evenkeel run` in main
  kReplica,  // the server, started by the coordinator
};

extern constinit Mode g_mode;
Mode decide_mode();

inline Mode mode() { return g_mode != Mode::kUndecided ? g_mode : decide_mode(); }
inline bool active() { return mode() == Mode::kReplica; }

// From the environment of the process; valid in mode kReplica.
[[nodiscard]] int deck_fd();
[[nodiscard]] uint32_t replica_number();

}  // namespace evenkeel::shim
