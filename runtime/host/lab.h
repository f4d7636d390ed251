#pragma once
// A stored batch, executed again: replicas of the server that start from the stored state, reach
// nothing outside, and go back to that state after each execution. The machinery is the service's
// own: what diverges here diverges there.
// Threads: one; replicas die with it. Memory: a deck; the replicas.
// Errors:  Refusal for a state that does not fit this machine; Ending when the replicas die.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/host/conductor.h"
#include "runtime/host/connections.h"
#include "runtime/host/deck.h"
#include "runtime/host/executor.h"
#include "runtime/host/network.h"
#include "runtime/host/options.h"
#include "runtime/host/recorded_order.h"
#include "runtime/host/replicas.h"
#include "runtime/host/report.pb.h"
#include "runtime/host/state_file.h"
#include "runtime/wire.h"

namespace evenkeel::host {

// Until an execution that does not end is one that hangs.
enum class Patience : uint32_t { kUsual, kEndless };

class Lab {
 public:
  // Replaces this process's environment by that of the stored replica.
  explicit Lab(const StateFile& state, Patience patience = Patience::kUsual);

  // One execution, rolled back before the next. True: it did not come out as one.
  bool run(Schedule schedule);
  // The same with the accesses to watched bytes noted, of the primary; threads change places after
  // them as `seed` decides; not at all if it is 0.
  bool run_watched(Schedule schedule, uint64_t seed);
  // After a failed execution: "replica 1 differs", "replica 0: Segmentation fault".
  [[nodiscard]] std::string describe() const;
  // Of the last execution, by number: [accesses_begin(), accesses().count).
  [[nodiscard]] const wire::Accesses& accesses() const { return deck_->replicas[0].accesses; }
  [[nodiscard]] uint64_t accesses_begin() const;

  // Compared pages that one execution writes to in the primary, globals first.
  [[nodiscard]] std::vector<uint64_t> written_pages();

  [[nodiscard]] bool is_global(uint64_t address) const;

  // Of the stored batch.
  [[nodiscard]] RecordedOrder recorded_order();

  // What lies there after an execution, and where in it the address is.
  [[nodiscard]] std::pair<record::Object, uint64_t> name(uint64_t address);

  void watch(std::span<const wire::WatchedRange> ranges);

  // The token of the last agreed execution.
  [[nodiscard]] wire::Token token() const { return deck_->replicas[0].result.token; }
  [[nodiscard]] const wire::Result& result() const { return deck_->replicas[0].result; }
  [[nodiscard]] pid_t server_pid() const { return replicas_.server_pid(0); }
  [[nodiscard]] wire::Deck& deck() { return *deck_; }

 private:
  static constexpr uint64_t kStartTimeoutNs = 30'000'000'000;

  void start();
  void start_replica(uint32_t index);
  void take_state(uint32_t index);
  void open_files();
  bool run_sequentially();
  bool execute(Schedule schedule);
  void prepare_command();
  Verdict execute_once(Schedule schedule);
  void stamp_log(uint32_t sequence);

  const StateFile& state_;
  Deck deck_;
  Signals signals_;
  Stats stats_;
  Connections connections_;
  Network network_;
  Externals externals_;
  Replicas replicas_;
  Conductor conductor_;
  Executor executor_;
  Launch launch_;
  Fd state_fd_;  // stays open across exec
  wire::Command command_{};
  std::vector<RecordedOrder::Length> log_;
  uint32_t input_count_ = 0;
  bool log_overwritten_ = false;
  bool dirty_ = false;  // executed sequentially: the state is another
};

}  // namespace evenkeel::host
