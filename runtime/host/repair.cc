#include "runtime/host/repair.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/host/clock.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

// A crash says more than the hang that it may have caused in another replica.
record::Kind kind_of(const wire::Deck& deck, uint32_t live_mask) {
  record::Kind kind = record::DIVERGENCE;
  for_each_bit(live_mask, [&](uint32_t i) {
    const wire::Status status = deck.replicas[i].result.status;
    if (status == wire::Status::kFault) kind = record::FAULT;
    if (kind == record::FAULT) return;
    if (status == wire::Status::kDeadlock) kind = record::DEADLOCK;
    if (status == wire::Status::kHang && kind != record::DEADLOCK) kind = record::HANG;
  });
  return kind;
}

constexpr char kMayBeOlder[] =
    "; the locks may have been taken in earlier batches, which cannot be undone";

const char* effect_of(const wire::Result& result) {
  if (result.status == wire::Status::kDeadlock) return "deadlocks";
  return result.status == wire::Status::kHang ? "hangs" : "crashes";
}

std::string cause_of(const wire::Result& result) {
  if (result.status == wire::Status::kDeadlock) return "threads wait for each other";
  return result.status == wire::Status::kHang ? "no rest" : ::strsignal(result.fault_signal);
}

std::string rolled_back(uint64_t batch) {
  return fmt::format(
      "all replicas rolled back to the state before batch {} and executed it again sequentially",
      batch);
}

// Inputs that a client sent: dropping its connection is a remedy. Signals and news of our own are
// not the client's doing.
bool can_be_dropped(const wire::Input& input) {
  return input.kind == wire::InputKind::kData || input.kind == wire::InputKind::kEof ||
         input.kind == wire::InputKind::kOpened;
}

}  // namespace

Report Repair::open_report(record::Kind kind, const Batch* batch) {
  Report report = parts_.evidence.collect(kind, batch);
  parts_.reports.admit(report);
  return report;
}

Report Repair::open_suspicion(const Batch& batch) {
  return parts_.evidence.collect_silently(record::SUSPECT, &batch);
}

void Repair::did(std::string what) {
  if (report_ != nullptr) report_->add_actions(std::move(what));
}

void Repair::save(Report& report, std::string outcome) {
  report.set_outcome(std::move(outcome));
  parts_.reports.save(report, Durability::kMachine);
}

void Repair::release_agreed() {
  const uint32_t primary = parts_.replicas.primary();
  const uint64_t bytes = parts_.deck.replicas[primary].result.output_bytes;
  if (!parts_.release.release(parts_.deck.outputs[primary], bytes)) {
    say("the server has overwritten the runtime's output area: it cannot be trusted any more");
    throw Ending{kExitHung, 0};
  }
  parts_.guard.add_outputs(parts_.deck.outputs[primary], bytes);
  parts_.executor.agree();
}

void Repair::end_of_server() {
  const wire::Result& result = parts_.executor.result(parts_.replicas.primary());
  const Ending ending{result.exit_status, result.exit_signal};
  release_agreed();
  parts_.executor.exit(ending.status, ending.signal);
  throw ending;
}

void Repair::repair(Batch& batch, Verdict verdict, bool forced) {
  if (verdict == Verdict::kExited) end_of_server();
  const record::Kind kind = kind_of(parts_.deck, parts_.replicas.live_mask());
  const bool divergence = kind == record::DIVERGENCE;
  if (kind == record::DEADLOCK) ++parts_.stats.deadlocks;
  const uint32_t sequence = parts_.deck.command_sequence.load();  // of the execution
  Report report = open_report(kind, &batch);
  // A real difference in a batch that was to be forced is a real one.
  report.set_forced(forced && divergence && report.differing_pages() == 0 &&
                    report.outputs_size() == 0);
  divergence ? ++parts_.stats.divergences : ++parts_.stats.faults;
  if (report.forced()) ++parts_.stats.forced;
  if (!report.forced()) parts_.guard.blame(parts_.replicas.primary());
  if (divergence && !report.forced()) parts_.learning.begin(report);
  parts_.diagnosis.prepare(report, batch, sequence);
  reexecute(batch, &report);
  parts_.learning.end(batch, report);
  save(report, outcome());
  parts_.diagnosis.begin(report, !leaked_ && !dropped_ && !left_standing_);
}

void Repair::reexecute(Batch& batch, Report* report) {
  report_ = report;
  leaked_ = left_standing_ = dropped_ = false;
  ++parts_.stats.reexecutions;
  parts_.executor.disagree();
  if (report != nullptr) {
    did(rolled_back(report->batch()));
    // Before anything else happens, lest it be lost with the run.
    report->set_outcome("being repaired");
    parts_.reports.save(*report, Durability::kProcess);
  }
  const uint64_t started = monotonic_ns();
  try {
    replay(batch, true);
  } catch (const Ending&) {
    report_ = nullptr;
    if (report != nullptr) {
      if (report->signature().empty()) parts_.reports.admit(*report);
      save(*report, "the server ended during the re-execution");
    }
    throw;
  }
  if (report != nullptr) report->mutable_timings()->set_repair_ns(monotonic_ns() - started);
  report_ = nullptr;
}

std::string Repair::outcome() const {
  if (left_standing_) return "service goes on with threads that wait for ever, as it would bare";
  if (leaked_) return "some inputs differed even then: see the LEAK reports";
  if (dropped_) return "all agree; service goes on from the state before the poison input";
  return "all agree; no client saw the difference";
}

void Repair::run_sequentially(Batch& batch, bool timers_expired) {
  replay(batch, timers_expired || batch.count() == 0);
}

void Repair::replay(Batch& batch, bool with_timers) {
  if (with_timers) {
    while (!settle(batch, kTimers, parts_.executor.execute(0, 0, true, false))) {
    }
  }
  for (uint32_t i = 0; i < batch.count();) {
    if (settle(batch, i, parts_.executor.execute(i, 1, true, false))) ++i;
  }
}

bool Repair::settle(Batch& batch, uint32_t step, Verdict verdict) {
  switch (verdict) {
    case Verdict::kAgreed: {
      const uint32_t primary = parts_.replicas.primary();
      wakeups_.add_outputs(parts_.deck.outputs[primary],
                           parts_.executor.result(primary).output_bytes);
      release_agreed();
      if (step != kTimers) parts_.learning.executed(step);
      return true;
    }
    case Verdict::kExited:
      end_of_server();
    case Verdict::kAllFaulted:
      if (may_drop(batch, step)) {
        drop_poison(batch, step);
      } else if (deadlocked()) {
        leave_deadlock(step);
      } else {
        fail_through(step);
      }
      return false;
    default:
      adopt(&batch, step == kTimers ? "expired timers" : fmt::format("input {}", step));
      return true;
  }
}

bool Repair::may_drop(const Batch& batch, uint32_t step) {
  if (options_.on_poison == Poison::kCrash) return false;
  if (step == kTimers || !can_be_dropped(batch.input(step))) return false;
  if (poison_limit_.admit(monotonic_ns())) return true;
  say("more than {} poison inputs within a minute (--poison-limit): no more are dropped",
      options_.poison_limit);
  return false;
}

void Repair::drop_poison(Batch& batch, uint32_t step) {
  const wire::Channel channel = batch.input(step).channel;
  const wire::Result& result = parts_.executor.result(parts_.replicas.primary());
  say("input {} of batch {} {} the server even alone ({}): its connection is closed", step,
      parts_.executor.batch(), effect_of(result), cause_of(result));
  did(fmt::format(
      "input {} {} all replicas even alone ({}): its connection (channel {}) was reset{}", step,
      effect_of(result), cause_of(result), channel, deadlocked() ? kMayBeOlder : ""));
  ++parts_.stats.poisoned;
  dropped_ = true;
  if (report_ == nullptr) {  // --mode sequential: nothing was reported so far
    ++parts_.stats.faults;
    if (deadlocked()) ++parts_.stats.deadlocks;
    Report report = open_report(kind_of(parts_.deck, parts_.replicas.live_mask()), &batch);
    report.add_actions("the input's connection was reset");
    save(report, "service goes on from the state before it");
  }
  parts_.executor.disagree();
  batch.poison(step, ECONNRESET);
  const uint32_t slot = parts_.connections.slot_of(channel);
  if (slot != UINT32_MAX) parts_.connections.drop_client(slot);
}

bool Repair::deadlocked() const {
  bool any = false;
  bool other = false;
  for_each_bit(parts_.replicas.live_mask(), [&](uint32_t i) {
    const wire::Status status = parts_.executor.result(i).status;
    any = any || status == wire::Status::kDeadlock;
    other = other || (failed(status) && status != wire::Status::kDeadlock);
  });
  return any && !other;
}

// There is no input to blame, or blaming it is not wanted. Those who wait go on waiting.
void Repair::leave_deadlock(uint32_t step) {
  say("the server deadlocks by itself in batch {}: letting it", parts_.executor.batch());
  did(fmt::format("{} deadlocked all replicas even alone: left standing{}",
                  step == kTimers ? "the expired timers" : fmt::format("input {}", step),
                  kMayBeOlder));
  left_standing_ = true;
  parts_.executor.disagree();
  parts_.executor.let_deadlock();
}

bool Repair::suspects_lost_wakeup(const Batch& batch) {
  const uint32_t primary = parts_.replicas.primary();
  return wakeups_.suspects(parts_.deck.replicas[primary], batch, parts_.deck.outputs[primary]);
}

void Repair::recheck_wakeups(Batch& batch) {
  Report report = parts_.evidence.collect_waits(record::LOST_WAKEUP, batch);
  ++parts_.stats.suspected_waits;
  reexecute(batch, nullptr);  // a fault on the way is not this report's, which may not be kept
  if (!wakeups_.conclude()) return;
  ++parts_.stats.faults;
  ++parts_.stats.lost_wakeups;
  parts_.reports.admit(report);
  report.add_actions(rolled_back(report.batch()) +
                     ", which answered requests that had been left unanswered");
  save(report, outcome());
}

void Repair::crash_through() {
  const int signal = parts_.executor.result(parts_.replicas.primary()).fault_signal;
  say("the server crashes by itself ({}): letting it", ::strsignal(signal));
  parts_.executor.exit(0, signal);
  throw Ending{0, signal};
}

void Repair::fail_through(uint32_t step) {
  const wire::Result& result = parts_.executor.result(parts_.replicas.primary());
  const bool hang = result.status == wire::Status::kHang;
  const int signal = result.fault_signal;
  say("the server {} by itself ({}): {}", effect_of(result), cause_of(result),
      hang ? "ending it" : "letting it");
  did(hang ? "the server hangs by itself and was ended" : "the crash was let through");
  if (report_ != nullptr) save(*report_, "the server ended");
  if (hang) throw Ending{kExitHung, 0};
  const bool timers = step == kTimers;
  parts_.executor.crash(timers ? 0 : step, timers ? 0 : 1, signal);
}

// The primary, if it came to rest; else the first that did.
uint32_t Repair::leak_source() const {
  const auto rests = [this](uint32_t i) {
    return parts_.deck.replicas[i].result.status == wire::Status::kQuiescent;
  };
  const uint32_t primary = parts_.replicas.primary();
  if (rests(primary)) return primary;
  uint32_t source = UINT32_MAX;
  for_each_bit(parts_.replicas.live_mask(), [&](uint32_t i) {
    if (source == UINT32_MAX && rests(i)) source = i;
  });
  return source;
}

// Some exited, some crashed, some saw another end: there is no state to go on from.
void Repair::end_differently(const std::string& while_doing) {
  const uint32_t primary = parts_.replicas.primary();
  say("LEAK in batch {}: replicas end differently even when {} runs alone; ending as replica {} "
      "does",
      parts_.executor.batch(), while_doing, primary);
  const wire::Result& result = parts_.executor.result(primary);
  if (result.status == wire::Status::kExited) end_of_server();
  if (result.status == wire::Status::kFault) crash_through();
  throw Ending{kExitHung, 0};
}

void Repair::adopt(const Batch* batch, const std::string& while_doing) {
  ++parts_.stats.leaks;
  leaked_ = true;
  const uint32_t decided = leak_source();
  if (decided == UINT32_MAX) end_differently(while_doing);
  parts_.replicas.set_primary(decided);
  // Before the evidence: asking for it resets the output areas. The state is decided already.
  release_agreed();
  Report report = open_report(record::LEAK, batch);
  // Another one if that has died since: nobody can take a state that is gone.
  const uint32_t source = leak_source();
  if (source == UINT32_MAX) end_differently(while_doing);
  say("LEAK in batch {}: replicas differ even when {} runs alone; all take replica {}'s state",
      parts_.executor.batch(), while_doing, source);
  parts_.executor.adopt(source);
  report.add_actions(
      fmt::format("{} executed sequentially; still different; all replicas took the state of "
                  "replica {}",
                  while_doing, source));
  save(report, "service goes on with one replica's answers: nobody knows whether they are right");
}

void Repair::adopt_start_up() { adopt(nullptr, "start-up"); }

void Repair::report_hang(const Batch& batch) {
  Report report = parts_.evidence.collect_silently(record::HANG, &batch);
  parts_.reports.admit(report);
  report.add_actions("all replicas were ended");
  save(report, "the run ended");
}

}  // namespace evenkeel::host
