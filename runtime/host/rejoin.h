#pragma once
// Replaces lost replicas: starts a process in the place of each, beside the running service, and
// between two batches lets it take the state of those that live.
//
//   lost ──► (waits after failures) ──► starting ──ready──► joins ──► live
//                     ▲                     │ died, or never got ready │ died
//                     └─────────────────────┴──────────────────────────┘
//
// Threads: the coordinator's only one. Memory: none. Errors: none; what fails is tried again.
#include <array>
#include <cstdint>
#include <string>

#include "runtime/host/executor.h"
#include "runtime/host/launcher.h"
#include "runtime/host/replicas.h"
#include "runtime/host/stats.h"
#include "runtime/wire.h"

namespace evenkeel::host {

// How often replicas may be replaced: a server that dies of its own start would else keep the
// machine busy with starting it. Without a place in it the service goes on with who is left.
class RestartBudget {
 public:
  // A kill every 500 ms, as our own tests do it, is 120.
  static constexpr uint32_t kRestartsPerMinute = 240;

  [[nodiscard]] bool allows(uint64_t now_ns) const;
  void spend(uint64_t now_ns);

 private:
  std::array<uint64_t, kRestartsPerMinute> spent_{};  // a ring; 0: never
  uint32_t next_ = 0;
};

class Rejoin {
 public:
  Rejoin(wire::Deck& deck, Replicas& replicas, Executor& executor, Stats& stats,
         const Launch& launch)
      : deck_(deck), replicas_(replicas), executor_(executor), stats_(stats), launch_(launch) {}

  // Between batches: the outputs of the last one have been released.
  void attend() {
    if (!replicas_.complete()) [[unlikely]]
      look();
  }
  // How long an idle coordinator may wait before it calls attend() again.
  [[nodiscard]] uint64_t patience_ns() const { return replicas_.complete() ? UINT64_MAX : kLookNs; }

 private:
  // What a start takes at least; nothing wakes the coordinator's epoll when it is ready.
  static constexpr uint64_t kLookNs = 2'000'000;
  // Dynamic linking and constructors on a busy machine; then it is killed and tried again.
  static constexpr uint64_t kStartTimeoutNs = 30'000'000'000;
  // After a replacement that died before it had joined; doubled with each in a row.
  static constexpr uint64_t kFirstPauseNs = 50'000'000;
  static constexpr uint32_t kMostDoublings = 7;  // 6.4 s

  struct Seat {
    bool starting = false;
    bool refused = false;  // has been said
    uint32_t failures = 0;
    uint64_t lost_ns = 0;  // 0: not noticed yet
    uint64_t started_ns = 0;
    uint64_t not_before_ns = 0;
  };

  void look();
  void look_at(uint32_t index, uint64_t now_ns);
  void start(uint32_t index, uint64_t now_ns);
  void join(uint32_t index, uint64_t now_ns);
  void failed(uint32_t index, uint64_t now_ns, const std::string& how);

  wire::Deck& deck_;
  Replicas& replicas_;
  Executor& executor_;
  Stats& stats_;
  const Launch& launch_;
  std::array<Seat, wire::kMaxReplicas> seats_;
  RestartBudget budget_;
};

}  // namespace evenkeel::host
