#include "runtime/sched/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "runtime/sched/clock.h"
#include "runtime/sched/thread.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

std::vector<const sched::Timer*>* g_expired;

void note(sched::Timer& timer) { g_expired->push_back(&timer); }

bool earlier(const sched::Timer* a, const sched::Timer* b) {
  return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->tie < b->tie;
}

// These cases use the heap alone, from thread 0.
int run(void (*body)()) {
  return run_replica({}, [body] {
    g_expired = new std::vector<const sched::Timer*>;
    body();
  });
}

TEST(Timers, ExpireOneAtATimeAndOnlyWhenDue) {
  EXPECT_EQ(kPassed, run([] {
              sched::Timer a{0, 1, 0, note};
              sched::Timer b{0, 2, 0, note};
              REQUIRE_EQ(sched::next_deadline_ns(), UINT64_MAX);
              REQUIRE(!sched::expire_one(UINT64_MAX - 1));
              sched::arm(a, 200);
              sched::arm(b, 100);
              REQUIRE_EQ(sched::next_deadline_ns(), 100);
              REQUIRE(!sched::expire_one(99));
              REQUIRE(sched::expire_one(300));
              REQUIRE_EQ(g_expired->size(), 1);
              REQUIRE(g_expired->back() == &b);
              REQUIRE_EQ(b.position, 0);
              REQUIRE_EQ(sched::next_deadline_ns(), 200);
              REQUIRE(sched::expire_one(200));
              REQUIRE(g_expired->back() == &a);
              REQUIRE(!sched::expire_one(300));
            }));
}

TEST(Timers, BreakTiesByNumber) {
  EXPECT_EQ(kPassed, run([] {
              sched::Timer timers[9];
              for (uint32_t i = 0; i < 9; ++i) timers[i] = {0, (i * 5 + 3) % 9, 0, note};
              for (auto& timer : timers) sched::arm(timer, 100);
              for (uint32_t i = 0; i < 9; ++i) {
                REQUIRE(sched::expire_one(100));
                REQUIRE_EQ(g_expired->back()->tie, i);
              }
            }));
}

TEST(Timers, RearmAndDisarm) {
  EXPECT_EQ(kPassed, run([] {
              sched::Timer a{0, 1, 0, note};
              sched::Timer b{0, 2, 0, note};
              sched::arm(a, 100);
              sched::arm(b, 200);
              sched::arm(a, 300);
              REQUIRE_EQ(sched::next_deadline_ns(), 200);
              sched::disarm(b);
              sched::disarm(b);  // no effect
              REQUIRE_EQ(sched::next_deadline_ns(), 300);
              sched::arm(b, 50);
              REQUIRE(sched::expire_one(1000));
              REQUIRE(g_expired->back() == &b);
              sched::disarm(a);  // it lies on this stack
            }));
}

// Against a sorted list, over random arming, re-arming, disarming and expiring.
TEST(Timers, AgreeWithASortedList) {
  EXPECT_EQ(kPassed, run([] {
              constexpr uint32_t kTimers = 500;
              std::vector<sched::Timer> timers(kTimers);
              std::vector<sched::Timer*> armed;
              for (uint32_t i = 0; i < kTimers; ++i) timers[i] = {0, i, 0, note};
              Random random(42);
              for (int step = 0; step < 50'000; ++step) {
                sched::Timer& timer = timers[random.below(kTimers)];
                const uint32_t choice = random.below(4);
                std::erase(armed, &timer);
                if (choice == 0) {
                  sched::disarm(timer);
                } else {
                  sched::arm(timer, random.below(100));
                  armed.push_back(&timer);
                }
                if (choice == 3) {
                  const auto first = std::min_element(armed.begin(), armed.end(), earlier);
                  REQUIRE_EQ(sched::next_deadline_ns(), (*first)->deadline_ns);
                  REQUIRE(sched::expire_one(100));
                  REQUIRE(g_expired->back() == *first);
                  armed.erase(first);
                }
              }
              std::sort(armed.begin(), armed.end(), earlier);
              for (const sched::Timer* timer : armed) {
                REQUIRE(sched::expire_one(100));
                REQUIRE(g_expired->back() == timer);
              }
              REQUIRE(!sched::expire_one(100));
            }));
}

// Threads with equal deadlines wake in the order of their ids, one quiescence each.
TEST(Timers, WakeThreadsOneGroupEach) {
  static uint64_t woken_at[8];
  EXPECT_EQ(kPassed, run([] {
              const uint64_t now_ns = sched::batch_time().monotonic_ns;
              for (uint64_t i = 1; i <= 6; ++i) {
                spawn([i, now_ns] {
                  REQUIRE_EQ(park(7 - i, now_ns + (i <= 3 ? 1000 : 500)), sched::Wake::kTimeout);
                  woken_at[i] = quiescences();
                });
              }
              join_all();
              const uint64_t first = woken_at[4];
              for (uint64_t i = 0; i < 6; ++i) {
                REQUIRE_EQ(woken_at[(i + 3) % 6 + 1], first + i);
              }
            }));
}

}  // namespace
}  // namespace evenkeel::test
