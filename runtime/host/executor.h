#pragma once
// Executions and the decisions on them. A decision (commit, rollback) travels with the next
// command. Threads: the coordinator's only one. Memory: none. Errors: throws Ending, from
// Conductor.
#include <cstdint>
#include <span>

#include "runtime/host/conductor.h"
#include "runtime/host/replicas.h"
#include "runtime/wire.h"

namespace evenkeel::host {

enum class Verdict : uint32_t {
  kAgreed,      // all quiescent, equal tokens
  kExited,      // all ended, the same way
  kDaemonise,   // all want to go into the background
  kAllFaulted,  // all crashed or hung
  kDiverged,    // anything else
};

// The execution was cut off; the state is good for nothing but a rollback.
[[nodiscard]] constexpr bool failed(wire::Status status) {
  return status == wire::Status::kFault || status == wire::Status::kHang ||
         status == wire::Status::kDeadlock;
}

// Of the live replicas' results. Without `verify` tokens mean nothing.
[[nodiscard]] Verdict judge(const wire::Deck& deck, uint32_t live_mask, bool verify);

class Executor {
 public:
  Executor(wire::Deck& deck, Replicas& replicas, Conductor& conductor, Externals& externals,
           Stats& stats)
      : deck_(deck),
        replicas_(replicas),
        conductor_(conductor),
        externals_(externals),
        stats_(stats) {}

  // Start-up: the implicit first command of replicas that were just started.
  void begin_start_up(bool sequential);
  Verdict finish_start_up();

  // A new batch: number, times and seed, which re-executions keep.
  void begin_batch(uint64_t monotonic_now_ns);
  [[nodiscard]] uint64_t batch() const { return deck_.command.batch; }

  Verdict execute(uint32_t first, uint32_t count, bool sequential, bool forced_mismatch);

  // Test hook: a thread of `replica` crashes at its call-th system call of the next execution.
  void crash_next(uint32_t call, uint32_t replica);

  void agree();                 // next command commits
  void disagree();              // next command rolls back
  void adopt(uint32_t source);  // at once: all take the state of `source`, the new primary

  // At once: a replacement that is ready takes the agreed state. False: it died in that.
  bool join(uint32_t replacement);
  // The next execution, which rolls back first, leaves a frozen copy of the primary behind
  // (wire::Replica::frozen_pid).
  void freeze_next() { freeze_ = true; }
  // The next execution leaves a deadlock standing, as the bare server would.
  void let_deadlock() { let_deadlock_ = true; }

  void describe();
  void dump(std::span<const uint64_t> pages);
  // Tells the replicas to leave and waits for it.
  void exit(int status, int signal);
  // The last execution ended in a crash by `signal`: the primary does it again from the image and
  // dies of it, as the bare server would, and with the core that it would leave.
  [[noreturn]] void crash(uint32_t first, uint32_t count, int signal);

  // Of the batch's executions that were not rolled back, by the primary.
  [[nodiscard]] bool choked() const { return choked_; }
  [[nodiscard]] uint64_t next_deadline_ns() const { return next_deadline_ns_; }

  [[nodiscard]] const wire::Result& result(uint32_t replica) const {
    return deck_.replicas[replica].result;
  }

 private:
  static constexpr uint64_t kExitTimeoutNs = 5'000'000'000;

  Verdict judge_execution();
  void own_command(uint32_t flags);

  wire::Deck& deck_;
  Replicas& replicas_;
  Conductor& conductor_;
  Externals& externals_;
  Stats& stats_;
  uint32_t decision_ = 0;
  bool let_deadlock_ = false;
  bool freeze_ = false;
  bool choked_ = false;
  uint64_t next_deadline_ns_ = UINT64_MAX;
  uint64_t random_ = 0;
};

}  // namespace evenkeel::host
