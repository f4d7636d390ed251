#pragma once
// The whole rolled-back state of the fake server: plain data, so that commit, rollback and adoption
// are one assignment, like the real thing's page copies.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "runtime/wire.h"

namespace evenkeel::fake {

constexpr uint32_t kMaxConnections = 256;
constexpr uint32_t kMaxTimers = 16;

enum class TimerAction : uint32_t { kNone, kTick, kResume };

struct Connection {
  wire::Channel channel;  // 0: free
  wire::Channel origin;   // outbound: who asked for it
  uint64_t pending;       // bytes of 'x' still to be written
  uint64_t backlog;       // as the coordinator told
  uint32_t peer_finished;
  uint32_t reserved;
};

struct Timer {
  uint64_t deadline_ns;
  wire::Channel channel;
  TimerAction action;
  uint32_t reserved;
};

struct State {
  Connection connections[kMaxConnections];
  Timer timers[kMaxTimers];
  uint64_t inputs;   // data inputs seen
  uint64_t count;    // of "!count"
  uint64_t sockets;  // virtual sockets made
  uint32_t external_index;
  uint32_t listener;
  uint64_t bad_joins;  // so many replacements die as soon as they have the state
  wire::Token token;
  // What is compared: words of the "heap" and of the global fake_shared_counter.
  uint64_t heap[512];
  uint64_t global[512];
};
// `heap` and `global` lie behind each other, at the end.
constexpr size_t kComparedBytes = sizeof State::heap + sizeof State::global;
static_assert(offsetof(State, heap) + kComparedBytes == sizeof(State));
static_assert(std::is_trivially_copyable_v<State>);

}  // namespace evenkeel::fake
