#pragma once
// The kernel's root in tracked memory: what is neither an object nor a table of its own.
// Private to runtime/kernel.
#include <cstdint>

#include "runtime/kernel/object.h"
#include "runtime/kernel/output.h"

namespace evenkeel::kernel {

struct Connection;

struct State {
  uint32_t shared_version;    // the common ordering domain
  uint32_t thread_version;    // order of clone() and exit
  uint32_t pollers;           // threads blocked in poll() or select()
  uint32_t next_socket_id;    // wire::kVirtualSocketBase + n
  uint32_t listeners;         // sockets that listen
  uint32_t uncleared_tids;    // threads that have exited and whose tid word does not say so yet
  Connection* choked;         // connections that filled their window
  uint64_t next_timerfd;
};

[[nodiscard]] State& state();

}  // namespace evenkeel::kernel
