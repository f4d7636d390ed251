#pragma once
// One run of one server: owns everything, forms batches, has them executed, decides.
// Threads: one, the main one; replicas die with it (PR_SET_PDEATHSIG is bound to the thread). The
//          live view has its own, which only read what is published.
// Memory:  no allocation per batch in steady state.
// Errors:  Refusal before the server starts; afterwards every end is an exit status or a signal.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/host/conductor.h"
#include "runtime/host/deck.h"
#include "runtime/host/diagnosis.h"
#include "runtime/host/evidence.h"
#include "runtime/host/executor.h"
#include "runtime/host/guard.h"
#include "runtime/host/live_view.h"
#include "runtime/host/mixer/batch_mixer.h"
#include "runtime/host/mixer/learning.h"
#include "runtime/host/network.h"
#include "runtime/host/options.h"
#include "runtime/host/rejoin.h"
#include "runtime/host/release.h"
#include "runtime/host/repair.h"
#include "runtime/host/state_dir.h"
#include "runtime/host/status.h"

namespace evenkeel::host {

class Coordinator {
 public:
  Coordinator(const Options& options, std::string server_path, std::vector<std::string> arguments,
              std::string library, uint64_t open_files_soft);

  // Runs the server to its end.
  [[nodiscard]] Ending run();

 private:
  // Each costs a sleep and an epoll_wait, about 4 us of CPU time; a batch costs the replicas 150
  // and more. The kernel adds its timer slack to a nap, 50 us by default.
  static constexpr int kSecondLooks = 8;
  static constexpr long kNapNs = 10'000;

  void fill_boot();
  void start_up();
  // True: up and running. False: start the replicas (again), as the flags now say.
  bool try_start_up();
  void restart_sequentially();
  void go_into_background();
  void tell_parent_and_close_stdio();

  void serve();
  void gather();
  uint32_t look_again();
  void attend(uint32_t sources);
  void run_batch(uint64_t now_ns);
  void mix();
  void execute_in_parallel();
  void count_batch(uint64_t started_ns);
  void maybe_inject_crash();  // --inject-crash
  [[nodiscard]] uint64_t patience_ns() const;

  Options options_;
  StateDir state_;
  Deck deck_;
  Signals signals_;
  Stats stats_;
  Connections connections_;
  Network network_;
  Externals externals_;
  Replicas replicas_;
  Conductor conductor_;
  Executor executor_;
  Evidence evidence_;
  Release release_;
  ReportStore reports_;
  Guard guard_;
  Diagnosis diagnosis_;
  Learning learning_;
  Repair repair_;
  Batch batch_;
  std::unique_ptr<BatchMixer> mixer_;  // null: --mixer none
  AdminEndpoint admin_;
  Launch launch_;
  Rejoin rejoin_;
  LiveStats live_stats_;
  LiveView live_view_;

  std::minstd_rand chance_{std::random_device{}()};
  bool daemonised_ = false;
  bool started_sequentially_ = false;
  uint64_t usual_requests_ = 0;  // per batch: the largest of late, fading by a 64th each batch
  Fd parent_;                    // daemon: write end towards the process that the user started
  uint64_t woke_ns_ = 0;         // end of the last wait for input
};

}  // namespace evenkeel::host
