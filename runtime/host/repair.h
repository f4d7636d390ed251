#pragma once
// What happens when a batch did not agree: evidence, rollback, the batch again input by input with
// every output released as soon as it is agreed; poison inputs dropped, leaks adopted.
// The same path runs every batch in --mode sequential, without the rollback.
//
//   execute ──agreed──────────► release, commit, next input
//           ──all exited──────► release, end of the run
//           ──all failed──────► poison: roll back, reset that connection instead, same place again
//           ──anything else───► leak: report, all adopt one replica's state, next input
//
// Threads: the coordinator's only one. Memory: the report under way.
// Errors:  throws Ending.
#include <string>

#include "runtime/host/batch.h"
#include "runtime/host/diagnosis.h"
#include "runtime/host/evidence.h"
#include "runtime/host/executor.h"
#include "runtime/host/guard.h"
#include "runtime/host/lost_wakeups.h"
#include "runtime/host/mixer/learning.h"
#include "runtime/host/options.h"
#include "runtime/host/rate_limit.h"
#include "runtime/host/release.h"
#include "runtime/host/report_store.h"
#include "runtime/host/stats.h"

namespace evenkeel::host {

class Repair {
 public:
  struct Parts {
    wire::Deck& deck;
    Replicas& replicas;
    Executor& executor;
    Evidence& evidence;
    Release& release;
    Connections& connections;
    ReportStore& reports;
    Stats& stats;
    Guard& guard;
    Diagnosis& diagnosis;
    Learning& learning;
  };

  Repair(const Parts& parts, const Options& options)
      : parts_(parts), options_(options), poison_limit_(options.poison_limit) {}

  // The batch's parallel execution had this verdict (or a forced mismatch): makes it good.
  void repair(Batch& batch, Verdict verdict, bool forced);
  // The parallel execution agreed, but the guard suspects it.
  void recheck_interleavings(Batch& batch);
  // After an agreed parallel execution: true if it may have lost a wake-up. Then recheck_wakeups()
  // takes the place of release_agreed().
  [[nodiscard]] bool suspects_lost_wakeup(const Batch& batch);
  void recheck_wakeups(Batch& batch);
  // --mode sequential: the batch's first execution, one input at a time.
  void run_sequentially(Batch& batch, bool timers_expired);

  // Start-up has no state to go back to: the replicas take the primary's.
  void adopt_start_up();
  // Reports that no replica answers.
  void report_hang(const Batch& batch);

  // Outputs of the primary; then everybody commits.
  void release_agreed();
  // All replicas report that the server has ended: so does the run.
  [[noreturn]] void end_of_server();
  // The server crashes whatever we do: it ends as it would without us.
  [[noreturn]] void crash_through();
  // All replicas that failed did so by a deadlock.
  [[nodiscard]] bool deadlocked() const;

 private:
  static constexpr uint32_t kTimers = UINT32_MAX;  // the step that only runs expired timers

  // All replicas roll back, and the batch runs again, one input at a time. The report, if there is
  // one, takes what is done on the way, and is kept if the server ends meanwhile.
  void reexecute(Batch& batch, Report* report);
  void replay(Batch& batch, bool with_timers);
  // False: the step must be repeated, because its input was replaced.
  bool settle(Batch& batch, uint32_t step, Verdict verdict);
  void leave_deadlock(uint32_t step);
  // Whether the step's input is poison that can be dropped, and still may be.
  [[nodiscard]] bool may_drop(const Batch& batch, uint32_t step);
  void drop_poison(Batch& batch, uint32_t step);
  [[noreturn]] void end_differently(const std::string& while_doing);
  // All replicas crash or hang at this step: so does the run.
  [[noreturn]] void fail_through(uint32_t step);
  void adopt(const Batch* batch, const std::string& while_doing);
  [[nodiscard]] uint32_t leak_source() const;
  [[nodiscard]] Report open_report(record::Kind kind, const Batch* batch);
  [[nodiscard]] Report open_suspicion(const Batch& batch);
  void did(std::string what);
  void save(Report& report, std::string outcome);
  [[nodiscard]] std::string outcome() const;

  Parts parts_;
  const Options& options_;
  RateLimit poison_limit_;
  LostWakeups wakeups_;
  Report* report_ = nullptr;  // being completed while the batch is repaired
  bool leaked_ = false;
  bool left_standing_ = false;  // a deadlock
  bool dropped_ = false;        // a client's connection, for its poison
};

}  // namespace evenkeel::host
