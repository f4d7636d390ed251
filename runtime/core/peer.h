#pragma once
// The memory of another replica. All that the runtime places, and the library itself, lies at equal
// addresses in every replica, so a variable is read from where it lies here.
// Threads: any; the peer's application threads are parked. Memory: none.
// Errors: ESRCH when the peer is gone; EPERM when the kernel does not let us (Yama, credentials).
#include <cstdint>

#include "runtime/core/sys.h"

namespace evenkeel {

class Peer {
 public:
  explicit Peer(int pid);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] int pid() const { return pid_; }
  // All of [address, address + bytes), also where the peer's application may not read.
  sys::Result read(uint64_t address, void* to, uint64_t bytes) const;
  // The peer's value of one of our own variables.
  template <typename T>
  sys::Result take(T& own) const {
    return read(reinterpret_cast<uint64_t>(&own), &own, sizeof own);
  }

 private:
  int pid_;
  int memory_fd_;  // /proc/PID/mem, or -1
};

}  // namespace evenkeel
