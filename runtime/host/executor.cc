#include "runtime/host/executor.h"

#include <sys/wait.h>

#include <algorithm>

#include "runtime/host/clock.h"
#include "runtime/host/futex.h"

namespace evenkeel::host {
namespace {

// splitmix64: seeds of successive batches, from the run's own seed.
uint64_t next_random(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool same_outcome(const wire::Result& a, const wire::Result& b, bool verify) {
  if (failed(a.status) && failed(b.status)) return true;
  if (a.status != b.status) return false;
  if (a.status == wire::Status::kQuiescent) return !verify || a.token == b.token;
  if (a.status == wire::Status::kExited) {
    return a.exit_status == b.exit_status && a.exit_signal == b.exit_signal;
  }
  return a.status == wire::Status::kDaemonise;
}

}  // namespace

Verdict judge(const wire::Deck& deck, uint32_t live_mask, bool verify) {
  const wire::Result& first = deck.replicas[__builtin_ctz(live_mask)].result;
  bool same = true;
  for_each_bit(live_mask, [&](uint32_t i) {
    same = same && same_outcome(first, deck.replicas[i].result, verify);
  });
  if (!same) return Verdict::kDiverged;
  if (failed(first.status)) return Verdict::kAllFaulted;
  switch (first.status) {
    case wire::Status::kQuiescent:
      return Verdict::kAgreed;
    case wire::Status::kExited:
      return Verdict::kExited;
    case wire::Status::kDaemonise:
      return Verdict::kDaemonise;
    default:
      return Verdict::kDiverged;
  }
}

void Executor::begin_start_up(bool sequential) {
  wire::Command& command = deck_.command;
  command = wire::Command{};
  command.flags = wire::kExecute;
  command.monotonic_ns = deck_.boot.monotonic_ns;
  command.realtime_ns = deck_.boot.realtime_ns;
  command.seed = deck_.boot.seed;
  command.sequential = sequential ? 1 : 0;
  // A start-up that deadlocks even so would do it without us: there is no input to blame.
  command.let_deadlock = sequential ? 1 : 0;
  random_ = deck_.boot.seed;
  decision_ = 0;
}

Verdict Executor::finish_start_up() {
  conductor_.wait();
  return judge_execution();
}

void Executor::begin_batch(uint64_t monotonic_now_ns) {
  wire::Command& command = deck_.command;
  choked_ = false;
  ++command.batch;
  command.monotonic_ns = std::max(command.monotonic_ns, monotonic_now_ns);
  command.realtime_ns = realtime_ns();
  // Replicas do not agree on the CPU time they use: what passes since start-up stands for it.
  command.cpu_ns = command.monotonic_ns - deck_.boot.monotonic_ns;
  command.seed = next_random(random_);
}

Verdict Executor::execute(uint32_t first, uint32_t count, bool sequential, bool forced_mismatch) {
  wire::Command& command = deck_.command;
  command.flags = decision_ | wire::kExecute;
  if (freeze_) command.flags |= wire::kFreeze;
  freeze_ = false;
  command.first_input = first;
  command.input_count = count;
  command.sequential = sequential ? 1 : 0;
  command.forced_mismatch = forced_mismatch ? 1 : 0;
  command.let_deadlock = let_deadlock_ ? 1 : 0;
  let_deadlock_ = false;
  conductor_.command();
  command.crash_call = 0;
  decision_ = 0;
  return judge_execution();
}

void Executor::crash_next(uint32_t call, uint32_t replica) {
  deck_.command.crash_call = call;
  deck_.command.crash_replica = replica;
}

Verdict Executor::judge_execution() {
  const wire::Result& primary = result(replicas_.primary());
  choked_ = choked_ || primary.choked != 0;
  next_deadline_ns_ = primary.next_deadline_ns;
  stats_.dirty_pages += primary.dirty_pages;
  return judge(deck_, replicas_.live_mask(), deck_.boot.verify != 0);
}

void Executor::agree() {
  decision_ = wire::kCommit;
  externals_.agree();
}

void Executor::disagree() {
  decision_ = wire::kRollback;
  externals_.discard();
  choked_ = false;
  ++stats_.rollbacks;
}

void Executor::own_command(uint32_t flags) {
  wire::Command& command = deck_.command;
  command.flags = flags;
  command.input_count = 0;
  command.forced_mismatch = 0;
  conductor_.command();
}

void Executor::adopt(uint32_t source) {
  replicas_.set_primary(source);
  own_command(wire::kAdopt);
  decision_ = 0;
  externals_.agree();
}

bool Executor::join(uint32_t replacement) {
  wire::Replica& joiner = deck_.replicas[replacement];
  joiner.join_sequence = conductor_.next_sequence();
  replicas_.admit(replacement);
  // release: publishes join_sequence.
  joiner.admission.store(wire::kAdmitted, std::memory_order_release);
  futex_wake_all(joiner.admission);
  deck_.command.joiner = replacement;
  own_command(wire::kJoin | decision_);
  decision_ = 0;
  return replicas_.finish_admission(replacement);
}

void Executor::describe() { own_command(wire::kDescribe); }

void Executor::dump(std::span<const uint64_t> pages) {
  const size_t count = std::min<size_t>(pages.size(), wire::kMaxDumpPages);
  std::copy_n(pages.begin(), count, deck_.dump_pages);
  deck_.command.dump_count = static_cast<uint32_t>(count);
  own_command(wire::kDump);
  deck_.command.dump_count = 0;
}

void Executor::exit(int status, int signal) {
  // What the agreed last command wrote to files reaches them by its commit.
  deck_.command.flags = wire::kExit | (decision_ & wire::kCommit);
  deck_.command.exit_status = status;
  deck_.command.exit_signal = signal;
  conductor_.post();
  replicas_.wait_for_exit(kExitTimeoutNs);
  replicas_.kill_all();
}

void Executor::crash(uint32_t first, uint32_t count, int signal) {
  for_each_bit(replicas_.live_mask() & ~(1U << replicas_.primary()),
               [&](uint32_t i) { replicas_.kill(i); });
  wire::Command& command = deck_.command;
  command.flags = wire::kRollback | wire::kExecute;
  command.first_input = first;
  command.input_count = count;
  command.sequential = 1;
  command.let_crash = 1;
  externals_.discard();
  conductor_.post();
  replicas_.wait_for_exit(kExitTimeoutNs);
  const int status = replicas_.wait_status(replicas_.primary());
  replicas_.kill_all();
  // Came to rest this time? It is over all the same: a crash is what was asked for.
  throw Ending{0, WIFSIGNALED(status) ? WTERMSIG(status) : signal};
}

}  // namespace evenkeel::host
