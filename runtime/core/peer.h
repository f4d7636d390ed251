#pragma once
// The memory of another replica, alive or stored in a file (wire::StateHeader). All that the
// runtime places, and the library itself, lies at equal addresses in every replica, so a variable
// is read from where it lies here.
// Threads: any; the peer's application threads are parked. Memory: none; of a stored one the table
// of segments is mapped. Errors: ESRCH when the peer is gone; EPERM when the kernel does not let us
// (Yama, credentials); EIO for a file that is not what it should be.
#include <cstdint>

#include "runtime/core/sys.h"
#include "runtime/wire_state.h"

namespace evenkeel {

class Peer {
 public:
  explicit Peer(int pid);
  // `pid` is a process that has the files open that the stored replica had, under their numbers.
  Peer(int pid, int state_fd);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] bool stored() const { return state_fd_ >= 0; }
  // All of [address, address + bytes), also where the peer's application may not read.
  sys::Result read(uint64_t address, void* to, uint64_t bytes) const;
  // The peer's value of one of our own variables.
  template <typename T>
  sys::Result take(T& own) const {
    return read(reinterpret_cast<uint64_t>(&own), &own, sizeof own);
  }

 private:
  sys::Result read_stored(uint64_t address, char* to, uint64_t bytes) const;
  sys::Result map_segments();

  int pid_;
  int memory_fd_ = -1;  // /proc/PID/mem
  int state_fd_ = -1;
  const wire::StateSegment* segments_ = nullptr;  // null: the file is bad
  uint64_t segment_count_ = 0;
  uint64_t mapped_bytes_ = 0;
};

}  // namespace evenkeel
