#include "runtime/sched/thread.h"

#include <gtest/gtest.h>

#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using sched::Wake;

uint32_t g_order[64];
uint32_t g_count;

void note() { g_order[g_count++] = sched::index_of(sched::self().id); }

void require_order(std::initializer_list<uint32_t> expected) {
  REQUIRE_EQ(g_count, expected.size());
  uint32_t i = 0;
  for (const uint32_t id : expected) REQUIRE_EQ(g_order[i++], id);
  g_count = 0;
}

// Runs all ready threads until they park.
void settle() { sched::yield(); }

TEST(Thread, WakesWaitersOfAKeyInOrderOfArrival) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (int i = 1; i <= 5; ++i) {
                spawn([i] {
                  park(i == 3 ? 200 : 100);  // 3 waits on another key
                  note();
                });
              }
              settle();
              REQUIRE_EQ(unpark(100, 2), 2);
              settle();
              require_order({1, 2});
              REQUIRE_EQ(unpark(100), 2);
              settle();
              require_order({4, 5});
              REQUIRE_EQ(unpark(100), 0);
              REQUIRE_EQ(unpark(200), 1);
              join_all();
              require_order({3});
            }));
}

TEST(Thread, KeepsManyKeysApart) {
  constexpr uint32_t kThreads = 300;
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (uint64_t i = 1; i <= kThreads; ++i) {
                spawn([i] {
                  REQUIRE_EQ(park(i % 100 * 64), Wake::kWoken);
                  ++g_count;
                });
              }
              settle();
              for (uint64_t key = 0; key < 100; ++key) REQUIRE_EQ(unpark(key * 64), 3);
              join_all();
              REQUIRE_EQ(g_count, kThreads);
            }));
}

TEST(Thread, FindsWaitersWithoutWakingThem) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              spawn([] { park(100); });
              spawn([] { park(100); });
              settle();
              sched::lock();
              sched::Thread* first = sched::first_waiter(100);
              REQUIRE_EQ(sched::index_of(first->id), 1);
              sched::Thread* second = sched::next_waiter(*first);
              REQUIRE_EQ(sched::index_of(second->id), 2);
              REQUIRE(sched::next_waiter(*second) == nullptr);
              REQUIRE(sched::first_waiter(101) == nullptr);
              sched::wake_thread(*second, Wake::kSignal);
              REQUIRE(sched::next_waiter(*first) == nullptr);
              sched::unlock();
              unpark(100);
              join_all();
            }));
}

TEST(Thread, RequeuesInOrderToTheTail) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (int i = 1; i <= 4; ++i) {
                spawn([i] {
                  park(i == 4 ? 200 : 100);
                  note();
                });
              }
              settle();
              sched::lock();
              REQUIRE_EQ(sched::requeue(100, 200, 2), 2);
              sched::unlock();
              REQUIRE_EQ(unpark(200), 3);
              settle();
              require_order({4, 1, 2});
              REQUIRE_EQ(unpark(100), 1);
              join_all();
            }));
}

TEST(Thread, SaysWhyItWoke) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              const sched::ThreadId id = spawn([] { REQUIRE_EQ(park(100), Wake::kSignal); });
              spawn([] { REQUIRE_EQ(park(100, 1), Wake::kTimeout); });
              spawn([] { REQUIRE_EQ(park(200, UINT64_MAX - 1), Wake::kWoken); });
              settle();
              sched::lock();
              sched::wake_thread(sched::thread(id), Wake::kSignal);
              sched::unlock();
              unpark(200);
              join_all();
              REQUIRE_EQ(sched::next_deadline_ns(), UINT64_MAX);  // a wake-up disarms the timer
            }));
}

TEST(Thread, ReusesTheLowestFreeSlotOfEarlierCommands) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (uint64_t i = 1; i <= 4; ++i) spawn([i] { park(i); });
              settle();
              REQUIRE_EQ(sched::live_threads(), 5);
              unpark(3);
              unpark(2);
              settle();
              REQUIRE_EQ(sched::live_threads(), 3);
              REQUIRE_EQ(sched::thread_slots(), 5);
              const auto born = [] { return sched::index_of(spawn([] {})); };
              REQUIRE_EQ(born(), 5);  // in this command the dead keep their slots
              sched::lock();
              sched::reclaim_threads();
              sched::unlock();
              REQUIRE_EQ(born(), 2);
              REQUIRE_EQ(born(), 3);
              REQUIRE_EQ(born(), 6);
              unpark(1);
              unpark(4);
              join_all();
            }));
}

TEST(Thread, RefusesMoreThanThereAreSlots) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              sched::Guard guard;
              for (uint32_t i = 1; i < wire::kMaxThreads; ++i) {
                REQUIRE(sched::allocate_thread() != nullptr);
              }
              REQUIRE(sched::allocate_thread() == nullptr);
              sched::retire_thread(sched::thread(sched::ThreadId{77}));
              REQUIRE(sched::allocate_thread() == nullptr);
              sched::reclaim_threads();
              REQUIRE_EQ(sched::index_of(sched::allocate_thread()->id), 77);
            }));
}

// Two batches of arrivals; those of a batch are settled by id, behind those settled before.
TEST(Thread, SettlesUnorderedArrivalsById) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              const auto arrive = [] {
                park(100);
                sched::lock();
                sched::enqueue_unordered_waiter(sched::self(), 200, sched::kNoDeadline, 1);
                sched::suspend_locked();
                note();
              };
              for (int i = 1; i <= 6; ++i) spawn(arrive);
              settle();
              const auto let_arrive = [](std::initializer_list<uint32_t> ids) {
                sched::Guard guard;
                for (const uint32_t id : ids) {
                  sched::wake_thread(sched::thread(sched::ThreadId{id}), Wake::kWoken);
                }
              };
              let_arrive({5, 2, 4});
              at_quiescence([] { return quiescences() <= 2 && unpark(1) == 1; });
              park(1);
              let_arrive({6, 1, 3});
              park(1);
              REQUIRE_EQ(unpark(200), 6);
              join_all();
              require_order({2, 4, 5, 1, 3, 6});
            }));
}

}  // namespace
}  // namespace evenkeel::test
