#pragma once
// The replica processes: started together, noticed when they die, killed when nobody needs them.
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "runtime/host/fd.h"
#include "runtime/host/launcher.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Replicas {
 public:
  Replicas(wire::Deck& deck, uint32_t count) : deck_(deck), count_(count) {}
  ~Replicas() { kill_all(); }
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  void start(const Launch& launch);
  void kill_all();            // and waits for them
  void kill(uint32_t index);  // does not wait; reap() will see it

  // Collects the dead. Returns the bit set of those that died since the last call; they are no
  // longer live, and the primary is another if it was among them (see wire primary_lost).
  uint32_t reap();

  // Starts a process in the place of a lost replica. It is not live before it is admitted. Throws
  // Refusal.
  void start_replacement(const Launch& launch, uint32_t index);
  // Whether it has ended before that; collects it.
  bool replacement_ended(uint32_t index);
  // It is live, so that it is waited for, but takes nobody's place yet.
  void admit(uint32_t index);
  // The command that admits it is done. False: it died.
  bool finish_admission(uint32_t index);

  // The primary died during the present command: wakes those who wait for it. A follower that had
  // not gone to sleep yet when it was first woken would sleep on: so this is repeated.
  void wake_followers();

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] uint32_t live_mask() const { return live_; }
  [[nodiscard]] uint32_t live_count() const {
    return static_cast<uint32_t>(__builtin_popcount(live_));
  }
  [[nodiscard]] bool complete() const { return live_ == (1U << count_) - 1; }
  [[nodiscard]] bool live(uint32_t index) const { return (live_ >> index & 1) != 0; }
  [[nodiscard]] uint32_t primary() const { return primary_; }
  void set_primary(uint32_t index) { primary_ = index; }
  [[nodiscard]] int wait_status(uint32_t index) const { return processes_[index].wait_status; }
  // "was killed by ...", "exited ...": how the last process in that place ended.
  [[nodiscard]] std::string describe_end(uint32_t index) const;
  [[nodiscard]] pid_t server_pid(uint32_t index) const;

  // Waits until every process has ended by itself; false after timeout_ns.
  bool wait_for_exit(uint64_t timeout_ns);

 private:
  struct Process {
    pid_t pid = -1;       // our child; -1: reaped
    Fd server;            // pidfd of the server itself, where a wrapper stands between
    int wait_status = 0;  // of our child
  };

  bool collect(Process& process);
  bool server_is_gone(uint32_t index);
  void bury(uint32_t index);

  wire::Deck& deck_;
  uint32_t count_;
  uint32_t live_ = 0;
  uint32_t joining_ = 0;  // live, but without the state
  uint32_t primary_ = 0;
  std::array<Process, wire::kMaxReplicas> processes_;
};

// For every index in a bit set, ascending.
template <typename Visit>
void for_each_bit(uint32_t mask, Visit visit) {
  for (; mask != 0; mask &= mask - 1) visit(static_cast<uint32_t>(__builtin_ctz(mask)));
}

}  // namespace evenkeel::host
