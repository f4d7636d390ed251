#include "runtime/host/conductor.h"

#include <immintrin.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/host/clock.h"
#include "runtime/host/futex.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

Ending ending_from(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {0, WTERMSIG(wait_status)};
  return {WEXITSTATUS(wait_status), 0};
}

}  // namespace

void Conductor::start(const Launch& launch) {
  starting_ = true;
  sequence_ = 1;
  deck_.command_sequence.store(1, std::memory_order_release);
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

bool Conductor::all_done() const {
  bool done = true;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    // acquire: pairs with the replica's release; its result and outputs are visible after it.
    // seq_cst, because it also pairs with the replica's look at live_mask and coordinator_sleeps.
    done = done && deck_.replicas[i].done_sequence.load() == sequence_;
  });
  return done;
}

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
    return;
  }
  const bool joins = (deck_.command.flags & wire::kJoin) != 0;  // gigabytes may have to be copied
  const uint64_t limit = joins ? std::max(hang_timeout_ns_, kJoinPatienceNs) : hang_timeout_ns_;
  if (tick && monotonic_ns() - started_ns > limit && !all_done()) handle_hang();
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

// The hung ones go if another is fine. Else nobody knows the right state.
void Conductor::handle_hang() {
  uint32_t hung = 0;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    if (deck_.replicas[i].done_sequence.load() != sequence_) hung |= 1U << i;
  });
  ++stats_.faults;
  if (hung == replicas_.live_mask()) {
    say("no replica has come to rest for {} s: giving up", hang_timeout_ns_ / kNsPerSecond);
    if (on_hang) on_hang();
    throw Ending{kExitHung, 0};
  }
  for_each_bit(hung, [&](uint32_t i) {
    say("replica {} hangs (no rest for {} s): ending it", i, hang_timeout_ns_ / kNsPerSecond);
    replicas_.kill(i);
  });
}

}  // namespace evenkeel::host
