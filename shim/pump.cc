#include "shim/pump.h"

#include <signal.h>

#include <algorithm>
#include <bit>

#include "runtime/core/check.h"
#include "runtime/core/heap.h"
#include "runtime/core/sys.h"
#include "runtime/guard/guard.h"
#include "runtime/kernel/fault.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/memory.h"
#include "runtime/kernel/process.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lanes.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sched/timers.h"
#include "runtime/sync/deadlock.h"
#include "shim/describe.h"
#include "shim/freeze.h"
#include "shim/marks.h"
#include "shim/preemption.h"
#include "shim/requests.h"
#include "shim/state_transfer.h"
#include "shim/used_memory.h"
#include "shim/watch.h"
#include "snapshot/core_file.h"
#include "snapshot/snapshot.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

using wire::Counter;
using wire::Status;

// How often a replica looks for the next command before it sleeps: about 3 us. The coordinator has
// replies to send meanwhile, which takes far longer under load; spinning helps only latency.
constexpr int kCommandSpins = 50;

struct Pump {
  wire::Deck* deck;
  wire::Replica* me;
  uint32_t index;
  uint32_t carriers;    // kernel threads when parallel
  uint32_t sequence;    // of the command under way
  uint32_t next_input;  // of the command's range
  bool executing;       // threads run for it
  bool replacement;     // has not joined yet
  bool choked_released;
  wire::Token previous;  // token of the last agreed command
  wire::Token current;   // of the last execution
  uint64_t started_ns;
};
constinit Pump g{};

const wire::Command& command() { return g.deck->command; }
bool verifying() { return g.deck->boot.verify != 0; }
// The coordinator names a successor while a command is obeyed, so two looks may differ. acquire:
// pairs with its store, before which the predecessor was dead.
bool primary() { return __atomic_load_n(&g.deck->command.primary, __ATOMIC_ACQUIRE) == g.index; }

void count(Counter counter, uint64_t amount) {
  g.me->counters[counter].fetch_add(amount, std::memory_order_relaxed);
}
void set_counter(Counter counter, uint64_t value) {
  g.me->counters[counter].store(value, std::memory_order_relaxed);
}

uint32_t processors() {
  uint64_t mask[16] = {};  // 1,024 processors; more than carriers could use
  const auto bytes = sys::call(SYS_sched_getaffinity, 0, sizeof mask, sys::arg(mask));
  uint32_t count = 0;
  if (bytes.ok()) {
    for (const uint64_t word : mask) count += static_cast<uint32_t>(std::popcount(word));
  }
  return std::max(count, 1u);
}

// ---- executing

sched::OrderMode order_mode() {
  const wire::Boot& boot = g.deck->boot;
  if (command().sequential != 0 || boot.replica_count == 1 ||
      boot.order == wire::Order::kIndependent) {
    return sched::OrderMode::kFree;
  }
  if (command().follow_log != 0) return sched::OrderMode::kReplay;
  return primary() ? sched::OrderMode::kRecord : sched::OrderMode::kReplay;
}

uint32_t parallelism() {
  const wire::Boot& boot = g.deck->boot;
  if (command().sequential != 0 || command().watch != 0) return 1;
  const bool serial = !primary() && boot.follower == wire::Follower::kSerial;
  return serial ? 1 : g.carriers;
}

// Lets one more group run. False: the command has no more. Requests that wait for their group come
// first: they are part of what ran before.
bool start_group() {
  const wire::Command& c = command();
  if (release_requests(g.deck->boot, c, c.sequential != 0)) return true;
  {
    sched::Guard guard;
    if (sched::expire_one(c.monotonic_ns)) return true;
  }
  if (g.next_input < c.input_count) {
    const wire::Input* inputs = g.deck->inputs + c.first_input;
    const uint32_t group = inputs[g.next_input].group;
    while (g.next_input < c.input_count && inputs[g.next_input].group == group) {
      const wire::Input& input = inputs[g.next_input++];
      if (input.kind == wire::InputKind::kOpened) sched::prepare_lane(input.channel);
      kernel::deliver(input);
    }
    return true;
  }
  if (g.choked_released) return false;
  g.choked_released = true;
  sched::Guard guard;
  kernel::release_choked();
  return true;
}

// True if threads have become ready.
bool start_groups() {
  while (!sched::stopping() && !kernel::ended() && start_group()) {
    if (sched::anything_ready()) return true;
  }
  return false;
}

// ---- the end of a command

void collect(wire::Result& result) {
  tell_used_memory();
  snapshot::DirtyPages dirty{};
  const auto collected = snapshot::collect(dirty);
  if (!collected.ok()) EVENKEEL_DIE("cannot collect dirty pages", "errno", collected.err());
  count(wire::kCountDirtyPages, dirty.count);
  if (command().watch != 0 && primary()) note_written(dirty);
  result.dirty_pages = 0;
  apply_relaxed(verifying());
  if (!verifying()) return;
  const uint64_t begin = sys::monotonic_ns();
  result.dirty_pages = hash_changed(dirty);
  result.root = verify::root();
  count(wire::kTimeHash, sys::monotonic_ns() - begin);
}

void publish_statistics() {
  const snapshot::Stats& stats = snapshot::stats();
  set_counter(wire::kCountUnchangedPages, stats.unchanged_pages);
  set_counter(wire::kCountHotPages, stats.hot_pages);
  set_counter(wire::kTimeScan, stats.scan_ns + stats.compare_ns);
  set_counter(wire::kTimeCommit, stats.commit_ns);
  set_counter(wire::kTimeRollback, stats.rollback_ns);
  set_counter(wire::kCountSwitches, sched::total_switches());
  if (primary()) count(wire::kCountOrderedOps, sched::ordered_operations());
}

// Before the command ends, because slots of threads that exited are free afterwards.
bool deadlocked() {
  wire::Waits& waits = g.me->waits;
  waits.count = 0;
  if (sched::stopping() || kernel::ended()) return false;
  if (sync::find_deadlock(waits) && command().let_deadlock == 0) return true;
  waits.count = 0;
  if (command().sequential == 0) sync::list_new_waits(waits);
  return false;
}

Status status_of(const kernel::Outcome& outcome, const kernel::Fault& fault, bool deadlock) {
  if (fault.signal != 0) return Status::kFault;
  if (take_hang()) return Status::kHang;
  if (outcome.daemonise) return Status::kDaemonise;
  if (outcome.exited) return Status::kExited;
  if (sched::stopping()) return Status::kDiverged;
  return deadlock ? Status::kDeadlock : Status::kQuiescent;
}

void finish_execution() {
  wire::Result& result = g.me->result;
  const uint64_t now = sys::monotonic_ns();
  end_watch();
  count(wire::kTimeExecute, now - g.started_ns);
  count(wire::kCountBatches, 1);
  if (sched::order_mode() == sched::OrderMode::kRecord) sched::announce_quiet();
  const bool deadlock = deadlocked();
  const kernel::Outcome outcome = kernel::end_command();
  if (!sched::stopping() && !deadlock) {  // otherwise threads may stand inside the allocator
    heap::apply_remote_frees();           // may find that an object was freed twice: a fault
    kernel::memory_quiescent();
  }
  const kernel::Fault fault = kernel::take_fault();
  result.status = status_of(outcome, fault, deadlock);
  collect(result);
  result.outputs = outcome.outputs;
  result.output_bytes = outcome.output_bytes;
  result.choked = outcome.choked ? 1 : 0;
  result.exit_status = outcome.exit_status;
  result.exit_signal = outcome.exit_signal;
  result.next_deadline_ns = sched::next_deadline_ns();
  result.fault_signal = fault.signal;
  result.fault_address = fault.address;
  result.fault_code = fault.code;
  result.fault_thread = fault.thread;
  const sched::Contradiction& contradiction = sched::contradiction();
  result.log_thread = sched::index_of(contradiction.thread);
  result.log_index = contradiction.operation;
  result.log_object = contradiction.object;
  result.log_entry = contradiction.entry;
  result.log_tag = static_cast<uint32_t>(contradiction.tag);
  result.log_version = contradiction.version;
  // When the server ends, threads are cut off wherever they were: only its outputs count.
  wire::Token root = result.status == Status::kExited ? wire::Token{} : result.root;
  if (verifying() && result.status != Status::kExited) root.high ^= heap::digest();
  g.current = verify::chain(g.previous, root, result.outputs, command().batch);
  result.token = g.current;
  if (command().forced_mismatch != 0 && !primary()) result.token.low ^= 1;
  publish_statistics();
  g.executing = false;
}

void publish_done() {
  // seq_cst, all three: of replicas that finish together the last one sees that all are done, and
  // either we see the coordinator asleep or it sees the doorbell.
  g.me->done_sequence.store(g.sequence, std::memory_order_seq_cst);
  g.deck->doorbell.fetch_add(1, std::memory_order_seq_cst);
  if (sched::order_mode() == sched::OrderMode::kRecord) sched::announce_quiet();
  const uint32_t live = g.deck->live_mask.load(std::memory_order_seq_cst);
  for (uint32_t i = 0; i < g.deck->boot.replica_count; ++i) {
    const bool lives = (live >> i & 1) != 0;
    if (lives && g.deck->replicas[i].done_sequence.load(std::memory_order_seq_cst) != g.sequence) {
      return;  // it will call
    }
  }
  if (g.deck->coordinator_sleeps.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(g.deck->doorbell, 1).ignore();
  }
}

// ---- obeying

void await_command() {
  const uint64_t begin = sys::monotonic_ns();
  std::atomic<uint32_t>& word = g.deck->command_sequence;
  for (int i = 0; i < kCommandSpins; ++i) {
    if (word.load(std::memory_order_acquire) != g.sequence) break;
    __builtin_ia32_pause();
  }
  while (word.load(std::memory_order_acquire) == g.sequence) {
    sys::futex_wait(word, g.sequence).ignore();
  }
  g.sequence = word.load(std::memory_order_acquire);
  count(wire::kTimeIdle, sys::monotonic_ns() - begin);
}

// `for_all`: the shared image and the files as well.
void commit(bool for_all) {
  snapshot::commit(for_all);
  if (verifying()) verify::settle();
  g.previous = g.current;
  kernel::commit_files(for_all && g.deck->boot.offline == 0);
  kernel::memory_committed();
}

void roll_back() {
  snapshot::rollback();
  if (verifying()) verify::undo();
  kernel::memory_rolled_back();
  count(wire::kCountRollbacks, 1);
}

void leave_copy() {
  g.me->frozen_token = g.previous;
  g.me->frozen_pid = freeze();
}

// The primary died before it had committed for all: its commit may be half made. The successor,
// whose memory still is what was agreed, makes it again.
void inherit_commit() {
  if ((command().flags & wire::kCommit) == 0) return;
  snapshot::commit_again();
  kernel::commit_files_again();
}

// The primary tells that its commit is complete and its log is new; followers wait for that before
// anything can make them need the image or the log. If it dies before it has told, its successor
// does.
void meet_primary(bool committed_for_all) {
  std::atomic<uint32_t>& word = g.deck->log_sequence;
  const uint64_t begin = sys::monotonic_ns();
  for (;;) {
    const uint32_t seen = word.load(std::memory_order_acquire);
    if (seen == g.sequence) break;
    if (primary()) {
      if (!committed_for_all) inherit_commit();
      word.store(g.sequence, std::memory_order_release);
      sys::futex_wake(word, static_cast<int>(wire::kMaxReplicas)).ignore();
      break;
    }
    sys::futex_wait(word, seen).ignore();
  }
  count(wire::kTimeLogWait, sys::monotonic_ns() - begin);
}

void begin_execution(bool committed_for_all) {
  sched::clear_stop();
  kernel::discard_fault();
  discard_hang();
  sched::begin_order(order_mode(), g.sequence);
  if (g.deck->boot.replica_count > 1) meet_primary(committed_for_all);
  if (command().let_crash != 0) snapshot::shrink_core_file();
  guard::begin();
  sched::set_parallelism(parallelism());
  kernel::begin_command(command());
  kernel::crash_at_call(command().crash_replica == g.index ? command().crash_call : 0);
  g.next_input = 0;
  g.choked_released = false;
  g.executing = true;
  g.started_ns = sys::monotonic_ns();
  if (command().watch != 0 && primary()) {
    sched::run_early();
    begin_watch();
  }
}

// A replacement is about to read this process's memory, if it is the primary's. Whoever has just
// committed looks whether it succeeds a primary that died meanwhile.
void let_join(bool committed_for_all) {
  allow_reading();
  const bool source = await_source(*g.deck, g.index) == g.index;
  if (source && !committed_for_all) inherit_commit();
}

// A replacement obeys no command before the one that admits it, and of that only kJoin.
void join_others() {
  g.me->admission.store(wire::kReady, std::memory_order_release);
  g.deck->doorbell.fetch_add(1, std::memory_order_seq_cst);  // before coordinator_sleeps is read
  if (g.deck->coordinator_sleeps.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(g.deck->doorbell, 1).ignore();
  }
  while (g.me->admission.load(std::memory_order_acquire) != wire::kAdmitted) {
    sys::futex_wait(g.me->admission, wire::kReady).ignore();
  }
  g.sequence = g.me->join_sequence;
  std::atomic<uint32_t>& word = g.deck->command_sequence;
  for (uint32_t seen = word.load(std::memory_order_acquire); seen != g.sequence;
       seen = word.load(std::memory_order_acquire)) {
    sys::futex_wait(word, seen).ignore();
  }
  g.previous = join(*g.deck, g.index);
}

[[noreturn]] void leave() {
  if (command().exit_signal != 0) {
    primary() ? snapshot::shrink_core_file() : kernel::leave_no_core_file();
    kernel::die_by(command().exit_signal);
  }
  sys::exit_group(command().exit_status);
}

// True if an execution has begun.
bool obey() {
  const uint32_t flags = command().flags;
  // One look for the whole command: whoever did not commit for all has to as soon as it must lead.
  const bool leads = primary();
  if ((flags & wire::kAdopt) != 0) g.previous = adopt_state(*g.deck, g.index);
  if ((flags & wire::kCommit) != 0) commit(leads);
  if ((flags & wire::kRollback) != 0) roll_back();
  if ((flags & wire::kFreeze) != 0 && primary()) leave_copy();
  if ((flags & wire::kDescribe) != 0) describe(*g.me);
  if ((flags & wire::kDump) != 0) dump(*g.deck, *g.me);
  if ((flags & wire::kExit) != 0) leave();
  if ((flags & wire::kJoin) != 0) let_join(leads);
  if ((flags & wire::kExecute) == 0) return false;
  begin_execution(leads);
  return true;
}

}  // namespace

void init_pump(wire::Deck& deck, uint32_t replica, bool replacement) {
  g.deck = &deck;
  const uint32_t wanted = deck.boot.carriers != 0 ? deck.boot.carriers : processors();
  g.carriers = std::min(wanted, sched::kMaxCarriers);
  g.me = &deck.replicas[replica];
  guard::init(deck, replica, g.carriers);
  g.index = replica;
  g.sequence = 1;
  g.executing = !replacement;
  g.replacement = replacement;
  g.choked_released = true;
  g.started_ns = sys::monotonic_ns();
}

void on_quiescent() {
  if (g.replacement) join_others();
  g.replacement = false;
  for (;;) {
    if (g.executing) {
      sched::end_group();
      guard::end_group();
      if (start_groups()) return;
      finish_execution();
    }
    publish_done();
    if (sched::carrier_count() < g.carriers) sched::add_carriers(g.carriers);
    await_command();
    obey();
  }
}

}  // namespace evenkeel::shim
