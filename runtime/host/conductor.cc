#include "runtime/host/conductor.h"

#include <immintrin.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/host/clock.h"
#include "runtime/host/futex.h"
#include "runtime/host/refusal.h"
#include "runtime/host/watchdog.h"

namespace evenkeel::host {
namespace {

Ending ending_from(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {0, WTERMSIG(wait_status)};
  return {WEXITSTATUS(wait_status), 0};
}

}  // namespace

void Conductor::begin(uint32_t sequence) {
  sequence_ = sequence;
  deck_.command_sequence.store(sequence, std::memory_order_release);
}

void Conductor::start(const Launch& launch) {
  starting_ = true;
  begin(1);
  replicas_.start(launch);
  may_spin_ = std::thread::hardware_concurrency() > replicas_.count();
}

void Conductor::command() {
  post();
  wait();
}

void Conductor::post() {
  starting_ = false;
  deck_.command.primary = replicas_.primary();
  sequence_ = next_sequence();
  // release: publishes the command, the inputs and the input bytes.
  deck_.command_sequence.store(sequence_, std::memory_order_release);
  futex_wake_all(deck_.command_sequence);
}

bool Conductor::all_done() const { return not_done() == 0; }

bool Conductor::serve_externals() {
  bool served = false;
  for_each_bit(replicas_.live_mask(),
               [&](uint32_t i) { served |= externals_.serve(deck_.replicas[i].external); });
  return served;
}

void Conductor::wait() {
  const uint64_t started = monotonic_ns();
  if (may_spin_) spin();
  for (bool tick = false; !all_done();) {
    const uint32_t ring = deck_.doorbell.load();
    if (serve_externals()) continue;
    // After the doorbell was read: a signal from here on changes it, and sleep() returns at once.
    look_around(tick, started);
    sleep(ring);
    tick = deck_.doorbell.load() == ring;
  }
  stats_.wait_ns += monotonic_ns() - started;
}

void Conductor::spin() const {
  const uint64_t end = monotonic_ns() + kSpinNs;
  while (!all_done() && monotonic_ns() < end) _mm_pause();
}

void Conductor::sleep(uint32_t ring) {
  // seq_cst on both sides: either the replica sees that we sleep, or we see that it rang.
  deck_.coordinator_sleeps.store(1);
  if (deck_.doorbell.load() == ring && !all_done()) futex_wait(deck_.doorbell, ring, kTickNs);
  deck_.coordinator_sleeps.store(0, std::memory_order_relaxed);
}

void Conductor::look_around(bool tick, uint64_t started_ns) {
  if (tick || signals_.child_waits()) bury_the_dead();
  if (tick && deck_.primary_lost.load() == sequence_) replicas_.wake_followers();
  if (const int signal = signals_.impatient(); signal != 0) {
    say("second {}: not waiting for the server any longer", ::strsignal(signal));
    throw Ending{0, signal};
  }
  if (starting_) {
    if (const int signal = signals_.overdue_termination(); signal != 0) throw Ending{0, signal};
  }
  if (tick && !all_done()) watch(monotonic_ns() - started_ns);
}

// A thread that spins may wait for one that is ready but has no carrier: so first they take turns.
// Beyond the limit they are stopped where they are; who cannot even do that is ended.
void Conductor::watch(uint64_t waited_ns) {
  const uint64_t limit = patience_ns();
  if (waited_ns <= limit) return preempt(deck_, replicas_, not_done());
  if (waited_ns <= limit + kStopPatienceNs) return stop(deck_, replicas_, not_done(), sequence_);
  handle_hang();
}

uint64_t Conductor::patience_ns() const {
  if (starting_) return UINT64_MAX - kStopPatienceNs;
  // Gigabytes may have to be copied.
  if ((deck_.command.flags & wire::kJoin) != 0) return std::max(hang_timeout_ns_, kJoinPatienceNs);
  return deck_.command.sequential != 0 ? hang_timeout_ns_ * kSequentialPatience : hang_timeout_ns_;
}

uint32_t Conductor::not_done() const {
  uint32_t mask = 0;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    // acquire: pairs with the replica's release; its result and outputs are visible after it.
    // seq_cst, because it also pairs with the replica's look at live_mask and coordinator_sleeps.
    if (deck_.replicas[i].done_sequence.load() != sequence_) mask |= 1U << i;
  });
  return mask;
}

void Conductor::bury_the_dead() {
  signals_.clear_child();
  const uint32_t dead = replicas_.reap();
  if (dead == 0) return;
  if (replicas_.live_count() == 0) throw ending_of_primary();
  for_each_bit(dead, [&](uint32_t i) { tell_of_death(i); });
}

void Conductor::tell_of_death(uint32_t index) {
  ++stats_.faults;
  const uint32_t left = replicas_.live_count();
  // A program that ends before the library runs in it is a wrapper's business, and the others are
  // about to end the same way.
  if (deck_.replicas[index].attached.load() == 0) return;
  say("replica {} {}; going on with {} replica{}{}", index, replicas_.describe_end(index), left,
      left == 1 ? "" : "s", left == 1 ? ", whose results nothing verifies any more" : "");
}

Ending Conductor::ending_of_primary() const {
  return ending_from(replicas_.wait_status(replicas_.primary()));
}

// Those that cannot be stopped go if another is fine. Else nobody knows the right state.
void Conductor::handle_hang() {
  const uint32_t hung = not_done();
  const uint64_t seconds = patience_ns() / kNsPerSecond;
  ++stats_.faults;
  if (hung == replicas_.live_mask()) {
    say("no replica has come to rest for {} s, nor can be stopped: giving up", seconds);
    if (on_hang) on_hang();
    throw Ending{kExitHung, 0};
  }
  for_each_bit(hung, [&](uint32_t i) {
    say("replica {} hangs (no rest for {} s) and cannot be stopped: ending it", i, seconds);
    replicas_.kill(i);
  });
}

}  // namespace evenkeel::host
