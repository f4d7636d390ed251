#include "runtime/sched/carrier.h"

#include <gtest/gtest.h>

#include <atomic>

#include "runtime/core/sys.h"
#include "runtime/sched/lock.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

TEST(Carrier, RunsReadyThreadsInTurn) {
  static uint32_t order[9];
  static uint32_t count;
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (int i = 0; i < 3; ++i) {
                spawn([] {
                  for (int n = 0; n < 3; ++n) {
                    order[count++] = sched::index_of(sched::self().id);
                    sched::yield();
                  }
                });
              }
              join_all();
              for (uint32_t i = 0; i < 9; ++i) REQUIRE_EQ(order[i], i % 3 + 1);
            }));
}

TEST(Carrier, ComesBackFromYieldAlone) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (int i = 0; i < 1000; ++i) sched::yield();
              REQUIRE_EQ(quiescences(), 0);
            }));
}

// ---- quiescence under a storm of wake-ups

constexpr uint32_t kPlayers = 8;
constexpr uint32_t kRounds = 64;

// A token goes from player to player: each parks until it has it and passes it to one chosen at
// random. The replica must be quiescent exactly when `passes` are used up, neither earlier (a wake-
// up was lost, or quiescence seen falsely) nor twice.
struct Storm {
  uint64_t passes;  // per token and round
  std::atomic<uint32_t> held[kPlayers];
  std::atomic<uint64_t> left;
  std::atomic<uint32_t> running;
  bool over;
};
Storm g_storm;

void receive(uint32_t player) {
  Storm& s = g_storm;
  const auto key = reinterpret_cast<uint64_t>(&s.held[player]);
  sched::lock();
  while (s.held[player].load(std::memory_order_relaxed) == 0) {
    s.running.fetch_sub(1);
    sched::enqueue_waiter(sched::self(), key, sched::kNoDeadline);
    sched::suspend_locked();
    s.running.fetch_add(1);
    if (s.over) return;
    sched::lock();
  }
  s.held[player].fetch_sub(1);
  sched::unlock();
}

void give(uint32_t player) {
  sched::Guard guard;
  g_storm.held[player].fetch_add(1);
  sched::wake(reinterpret_cast<uint64_t>(&g_storm.held[player]), 1);
}

bool take_pass() {
  uint64_t left = g_storm.left.load();
  while (left != 0 && !g_storm.left.compare_exchange_weak(left, left - 1)) {
  }
  return left != 0;
}

void play(uint32_t player) {
  Random random(player);
  g_storm.running.fetch_add(1);
  for (;;) {
    receive(player);
    if (g_storm.over) return;
    if (take_pass()) give(random.below(kPlayers));
  }
}

bool next_round(uint32_t tokens) {
  Storm& s = g_storm;
  if (s.over) return false;
  REQUIRE_EQ(s.running.load(), 0);
  REQUIRE_EQ(s.left.load(), 0);
  for (auto& held : s.held) REQUIRE_EQ(held.load(), 0);
  s.over = quiescences() > kRounds;
  s.left.store(s.passes);
  for (uint32_t i = 0; i < kPlayers; ++i) {
    if (s.over) unpark(reinterpret_cast<uint64_t>(&s.held[i]));
    if (!s.over && i < tokens) give(i);
  }
  return true;
}

int run_storm(uint32_t carriers, uint32_t parallelism, uint32_t tokens, uint64_t passes) {
  return run_replica({.carriers = carriers, .parallelism = parallelism}, [=] {
    g_storm.passes = passes;
    at_quiescence([tokens] { return next_round(tokens); });
    for (uint32_t i = 0; i < kPlayers; ++i) spawn([i] { play(i); });
    join_all();
    REQUIRE_EQ(quiescences(), kRounds + 1);
  });
}

TEST(Carrier, FindsQuiescenceOnceWithOneCarrier) { EXPECT_EQ(kPassed, run_storm(1, 1, 3, 60'000)); }
TEST(Carrier, FindsQuiescenceOnceWithTwoCarriers) {
  EXPECT_EQ(kPassed, run_storm(2, 2, 3, 30'000));
}
TEST(Carrier, FindsQuiescenceOnceWithFourCarriers) {
  EXPECT_EQ(kPassed, run_storm(4, 4, 4, 10'000));
}
TEST(Carrier, FindsQuiescenceOnceWithIdleCarriersBeyondTheParallelism) {
  EXPECT_EQ(kPassed, run_storm(4, 2, 3, 10'000));
}
TEST(Carrier, FindsQuiescenceOnceSerialWithFourCarriers) {
  EXPECT_EQ(kPassed, run_storm(4, 1, 3, 30'000));
}
// One token: nearly every pass empties the run queue, and idle carriers come and go.
TEST(Carrier, FindsQuiescenceOnceWhenNearlyIdle) { EXPECT_EQ(kPassed, run_storm(4, 4, 1, 10'000)); }

// ---- parallelism

TEST(Carrier, RunsOneAtATimeWhenSerial) {
  static std::atomic<int> inside;
  EXPECT_EQ(kPassed, run_replica({.carriers = 4}, [] {
              REQUIRE(sched::serial());
              for (int i = 0; i < 6; ++i) {
                spawn([] {
                  for (int n = 0; n < 2000; ++n) {
                    REQUIRE_EQ(inside.fetch_add(1), 0);
                    for (int spin = 0; spin < 50; ++spin) __builtin_ia32_pause();
                    inside.fetch_sub(1);
                    sched::yield();
                  }
                });
              }
              join_all();
            }));
}

// Both must be inside at once for either to leave: no carrier may stay asleep.
TEST(Carrier, RunsSeveralAtOnceWhenParallel) {
  static std::atomic<int> inside;
  static std::atomic<uint32_t> carriers;
  EXPECT_EQ(kPassed, run_replica({.carriers = 3, .parallelism = 3}, [] {
              REQUIRE(!sched::serial());
              for (int i = 0; i < 3; ++i) {
                spawn([] {
                  carriers.fetch_or(1U << sched::carrier().index);
                  inside.fetch_add(1);
                  while (inside.load() < 3) __builtin_ia32_pause();
                });
              }
              join_all();
              REQUIRE_EQ(carriers.load(), 7);
            }));
}

TEST(Carrier, NeverExceedsTheParallelism) {
  static std::atomic<int> inside;
  static std::atomic<int> most;
  EXPECT_EQ(kPassed, run_replica({.carriers = 4, .parallelism = 2}, [] {
              for (int i = 0; i < 8; ++i) {
                spawn([] {
                  for (int n = 0; n < 2000; ++n) {
                    const int now = inside.fetch_add(1) + 1;
                    if (now > most.load()) most.store(now);
                    for (int spin = 0; spin < 50; ++spin) __builtin_ia32_pause();
                    inside.fetch_sub(1);
                    sched::yield();
                  }
                });
              }
              join_all();
              REQUIRE_EQ(most.load(), 2);  // thread 0 waits
            }));
}

TEST(Carrier, ChangesParallelismAtQuiescence) {
  static std::atomic<int> inside;
  EXPECT_EQ(kPassed, run_replica({.carriers = 2, .parallelism = 1}, [] {
              at_quiescence([] {
                if (quiescences() > 2) return false;
                sched::set_parallelism(quiescences() == 1 ? 2 : 1);
                return unpark(1) != 0;
              });
              park(1);
              REQUIRE(!sched::serial());
              for (int i = 0; i < 2; ++i) {
                spawn([] {
                  inside.fetch_add(1);
                  while (inside.load() < 2) __builtin_ia32_pause();
                });
              }
              join_all();
              park(1);
              REQUIRE(sched::serial());
            }));
}

// ---- stopping

void stop_and_go_on(uint32_t carriers) {
  static std::atomic<int> after_stop;
  static std::atomic<bool> stopped;
  EXPECT_EQ(kPassed, run_replica({.carriers = carriers, .parallelism = carriers}, [] {
              at_quiescence([] {
                if (!sched::stopping()) return false;
                // The rollback of this test: thread 0 waits on key 1, nothing else counts.
                sched::clear_stop();
                return unpark(1) == 1;
              });
              for (int i = 0; i < 4; ++i) {
                spawn([i] {
                  for (int n = 0; n < 100; ++n) sched::yield();
                  if (i == 2) {
                    sched::stop();
                    stopped.store(true);
                    sched::abandon();
                  }
                  // Runs on until it is suspended, and then no more.
                  while (!stopped.load()) sched::yield();
                  after_stop.fetch_add(1);
                  sched::yield();
                  after_stop.fetch_add(100);
                });
              }
              park(1);
              REQUIRE(after_stop.load() < 100);
              REQUIRE(!sched::stopping());
            }));
}

TEST(Carrier, StopDropsReadyThreads) { stop_and_go_on(1); }
TEST(Carrier, StopDropsRunningThreadsAtTheirNextSuspension) { stop_and_go_on(2); }

// ---- the kernel lock

TEST(Lock, ExcludesCarriers) {
  static uint64_t plain;
  EXPECT_EQ(kPassed, run_replica({.carriers = 4, .parallelism = 4}, [] {
              for (int i = 0; i < 4; ++i) {
                spawn([] {
                  for (int n = 0; n < 200'000; ++n) {
                    sched::Guard guard;
                    ++plain;
                  }
                });
              }
              join_all();
              REQUIRE_EQ(plain, 800'000);
            }));
}

TEST(Lock, KnowsItsHolder) {
  EXPECT_EQ(kPassed, run_replica({.carriers = 2, .parallelism = 2}, [] {
              REQUIRE(!sched::lock_held_by_this_carrier());
              sched::lock();
              REQUIRE(sched::lock_held_by_this_carrier());
              sched::unlock();
              REQUIRE(!sched::lock_held_by_this_carrier());
            }));
}

}  // namespace
}  // namespace evenkeel::test
