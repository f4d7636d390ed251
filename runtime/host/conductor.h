#pragma once
// One command at a time: wakes the replicas, waits until every live one has obeyed, meanwhile
// answers their external calls and notices who dies or hangs.
// Threads: the coordinator's only one.
// Memory:  none.
// Errors:  throws Ending when no replica is left, all hang, or the user insists.
#include <cstdint>
#include <functional>
#include <string>

#include "runtime/host/ending.h"
#include "runtime/host/externals.h"
#include "runtime/host/replicas.h"
#include "runtime/host/signals.h"
#include "runtime/host/stats.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Conductor {
 public:
  Conductor(wire::Deck& deck, Replicas& replicas, Externals& externals, const Signals& signals,
            Stats& stats, uint64_t hang_timeout_ns)
      : deck_(deck),
        replicas_(replicas),
        externals_(externals),
        signals_(signals),
        stats_(stats),
        hang_timeout_ns_(hang_timeout_ns) {}

  // Starts the processes; wait() then waits for the implicit first command, without a time limit.
  void start(const Launch& launch);
  // For processes that are started one by one, from a state: as if they had obeyed `sequence`.
  void begin(uint32_t sequence);
  // deck.command is complete: tells the replicas and waits.
  void command();
  void post();  // the same without waiting, for a command that is not answered
  // Number of the next command. 0 stands for "never" in primary_lost, so it is skipped.
  [[nodiscard]] uint32_t next_sequence() const { return sequence_ + 1 == 0 ? 1 : sequence_ + 1; }
  void wait();

  // Collects dead replicas while no command is under way.
  void look_after_children() { bury_the_dead(); }

  // Called when no replica answers within the time limit, before the run ends.
  std::function<void()> on_hang;

 private:
  // How long a death behind a wrapper, or a hang, may go unnoticed.
  static constexpr uint64_t kTickNs = 100'000'000;
  // For a replacement to copy the state, at a gigabyte a second.
  static constexpr uint64_t kJoinPatienceNs = 60'000'000'000;
  // Worth it only where every replica and the coordinator have a processor of their own: a wake-up
  // costs about 5 us, so looking for 2 us first loses little.
  static constexpr uint64_t kSpinNs = 2'000;

  // Sequential execution, where no race can be the cause, has this many times as long: a batch that
  // takes long because there is much to do is not to be taken for poison.
  static constexpr uint64_t kSequentialPatience = 10;
  // How long threads may take to be stopped.
  static constexpr uint64_t kStopPatienceNs = 1'000'000'000;

  [[nodiscard]] bool all_done() const;
  [[nodiscard]] uint32_t not_done() const;  // bit set of live replicas
  bool serve_externals();
  void spin() const;
  void sleep(uint32_t ring);
  void look_around(bool tick, uint64_t started_ns);
  void watch(uint64_t waited_ns);
  [[nodiscard]] uint64_t patience_ns() const;
  void bury_the_dead();
  void tell_of_death(uint32_t index);
  void handle_hang();
  [[nodiscard]] Ending ending_of_primary() const;

  wire::Deck& deck_;
  Replicas& replicas_;
  Externals& externals_;
  const Signals& signals_;
  Stats& stats_;
  uint64_t hang_timeout_ns_;
  uint32_t sequence_ = 1;
  bool starting_ = true;
  bool may_spin_ = false;
};

}  // namespace evenkeel::host
