#include "runtime/sched/order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using sched::OrderMode;
using sched::Tag;

constexpr Role kPrimary{OrderMode::kRecord, 4, 4, 0};
constexpr Role kSerialFollower{OrderMode::kReplay, 1, 1, 1};
constexpr Role kParallelFollower{OrderMode::kReplay, 4, 4, 2};

// What a replica did, in order, per object; compared between replicas.
constexpr uint32_t kObjects = 3;
constexpr uint32_t kTraceEntries = 1 << 20;
struct Trace {
  uint32_t count[kObjects];
  uint32_t entry[kObjects][kTraceEntries];
};
struct Traces {
  Trace replica[wire::kMaxReplicas];
};

class Order : public testing::Test {
 protected:
  void SetUp() override {
    deck_ = make_deck();
    traces_ = &shared<Traces>();
  }
  void TearDown() override { release_deck(deck_); }

  // All at once, as replicas live; returns how each ended.
  std::vector<int> run(const std::vector<Role>& roles, void (*body)(Trace&)) {
    std::vector<pid_t> children;
    for (const Role& role : roles) {
      Trace& trace = traces_->replica[role.index];
      children.push_back(start_replica(role, deck_, [body, &trace] { body(trace); }));
    }
    std::vector<int> ends;
    for (const pid_t child : children) ends.push_back(end_of(child));
    return ends;
  }
  void expect_equal_traces(uint32_t a, uint32_t b) {
    const Trace& left = traces_->replica[a];
    const Trace& right = traces_->replica[b];
    for (uint32_t o = 0; o < kObjects; ++o) {
      ASSERT_GT(left.count[o], 0U);
      ASSERT_EQ(left.count[o], right.count[o]) << "object " << o;
      ASSERT_EQ(0, std::memcmp(left.entry[o], right.entry[o], left.count[o] * sizeof(uint32_t)))
          << "object " << o;
    }
  }

  wire::Deck* deck_ = nullptr;
  Traces* traces_ = nullptr;
};

uint32_t g_version[kObjects];

void note(Trace& trace, uint32_t object, uint32_t what) {
  REQUIRE(trace.count[object] < kTraceEntries);
  trace.entry[object][trace.count[object]++] = sched::index_of(sched::self().id) << 24 | what;
}

// What the next operation is depends on what others did before: replay must be exact to go on.
void hammer(Trace& trace) {
  for (uint32_t t = 1; t <= 6; ++t) {
    spawn([t, &trace] {
      Random random(t);
      uint32_t seen = 0;
      for (uint32_t i = 0; i < 20'000; ++i) {
        const uint32_t object = (random.below(kObjects) + seen) % kObjects;
        const sched::OrderedGuard guard(g_version[object], Tag::kObject);
        seen = trace.count[object] % 5;
        note(trace, object, i);
      }
    });
  }
  join_all();
}

TEST_F(Order, FollowersRepeatThePrimarysOrder) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, hammer),
            (std::vector{kPassed, kPassed, kPassed}));
  expect_equal_traces(0, 1);
  expect_equal_traces(0, 2);
}

TEST_F(Order, FollowersMayStartLate) {
  EXPECT_EQ(run({kPrimary}, hammer), std::vector{kPassed});
  EXPECT_EQ(run({kSerialFollower, kParallelFollower}, hammer), (std::vector{kPassed, kPassed}));
  expect_equal_traces(0, 1);
  expect_equal_traces(0, 2);
}

// A lock of which the scheduler knows nothing, with the order taken inside.
struct TestLock {
  std::atomic<bool> held;
  uint32_t version;
};
TestLock g_lock[kObjects];

void enter(TestLock& lock) {
  sched::await_turn(lock.version, Tag::kMutex);
  while (lock.held.exchange(true, std::memory_order_acquire)) sched::yield();
  sched::passed(lock.version, Tag::kMutex);
}

void hammer_own_locks(Trace& trace) {
  for (uint32_t t = 1; t <= 6; ++t) {
    spawn([t, &trace] {
      Random random(t);
      for (uint32_t i = 0; i < 20'000; ++i) {
        const uint32_t object = random.below(kObjects);
        enter(g_lock[object]);
        note(trace, object, i);
        g_lock[object].held.store(false, std::memory_order_release);
      }
    });
  }
  join_all();
}

TEST_F(Order, HoldsForLocksTakenWithoutTheKernelLock) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, hammer_own_locks),
            (std::vector{kPassed, kPassed, kPassed}));
  expect_equal_traces(0, 1);
  expect_equal_traces(0, 2);
}

// Try-locks: the primary's outcomes, whatever the follower's timing would give.
void try_locks(Trace& trace) {
  for (uint32_t t = 1; t <= 4; ++t) {
    spawn([t, &trace] {
      Random random(t);
      for (uint32_t i = 0; i < 20'000; ++i) {
        TestLock& lock = g_lock[0];
        bool failed = false;
        if (sched::recorded_failure(Tag::kMutex, failed)) {
          if (!failed) enter(lock);
        } else if (lock.held.exchange(true, std::memory_order_acquire)) {
          sched::log_failure(Tag::kMutex);
          failed = true;
        } else {
          sched::passed(lock.version, Tag::kMutex);
        }
        sched::OrderedGuard(g_version[1], Tag::kObject);
        if (failed) continue;
        for (uint32_t object = 0; object < kObjects; ++object) note(trace, object, i);
        if (random.below(2) == 0) sched::yield();
        lock.held.store(false, std::memory_order_release);
      }
    });
  }
  join_all();
}

TEST_F(Order, FollowersRepeatRecordedFailures) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, try_locks),
            (std::vector{kPassed, kPassed, kPassed}));
  EXPECT_LT(traces_->replica[0].count[0], 80'000U) << "no try failed: nothing was tested";
  expect_equal_traces(0, 1);
  expect_equal_traces(0, 2);
}

// ---- closing operations

// In the primary both look before either adds.
void look_and_add(Trace& trace) {
  static std::atomic<uint32_t> looked;
  static uint32_t added;
  for (int t = 0; t < 2; ++t) {
    spawn([&trace] {
      sched::await_closing();
      const uint32_t seen = added;
      ++looked;
      while (sched::order_mode() == OrderMode::kRecord && looked.load() < 2) sched::yield();
      {
        const sched::OrderedGuard guard(g_version[0], Tag::kObject);
        trace.entry[0][trace.count[0]++] = seen;
        ++added;
      }
      sched::await_closing();  // nothing comes any more
    });
  }
  join_all();
}

TEST_F(Order, ASerialFollowerLooksOnlyWhenItsOperationIsDue) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, look_and_add),
            (std::vector{kPassed, kPassed, kPassed}));
  EXPECT_EQ(traces_->replica[0].entry[0][0] + traces_->replica[0].entry[0][1], 0U);
  EXPECT_EQ(traces_->replica[1].entry[0][0], 0U);
  EXPECT_EQ(traces_->replica[1].entry[0][1], 1U);
}

// The second thread waits, without an operation, for what the first does before its own is due.
void spin_for_another(Trace&) {
  static std::atomic<bool> flag, done;
  spawn([] {
    sched::OrderedGuard(g_version[0], Tag::kObject);
    sched::await_closing();
    flag = true;
    while (sched::order_mode() == OrderMode::kRecord && !done.load()) sched::yield();
    sched::OrderedGuard(g_version[1], Tag::kObject);
  });
  spawn([] {
    sched::await_closing();
    while (!flag.load()) sched::yield();
    sched::OrderedGuard(g_version[1], Tag::kObject);
    done = true;
  });
  join_all();
}

TEST_F(Order, WhoeverIsSpunForIsLetGo) {
  EXPECT_EQ(run({kPrimary}, spin_for_another), std::vector{kPassed});
  EXPECT_EQ(run({kSerialFollower}, spin_for_another), std::vector{kPassed});
}

// ---- divergence

void ten_operations(Trace&) {
  for (int i = 0; i < 10; ++i) sched::OrderedGuard(g_version[0], Tag::kObject);
}
void tenth_is_another(Trace&) {
  for (int i = 0; i < 9; ++i) sched::OrderedGuard(g_version[0], Tag::kObject);
  sched::OrderedGuard(g_version[0], Tag::kTable);
}
void eleven_operations(Trace&) {
  for (int i = 0; i < 11; ++i) sched::OrderedGuard(g_version[0], Tag::kObject);
}
void wrong_object(Trace&) {
  g_version[1] = 5;  // beyond what the log wants of it
  sched::OrderedGuard(g_version[1], Tag::kObject);
}
void success_where_failure_was_logged(Trace&) {
  if (sched::order_mode() == OrderMode::kRecord) {
    sched::log_failure(Tag::kObject);
  } else {
    sched::OrderedGuard(g_version[0], Tag::kObject);
  }
}
// Thread 1's turn comes after an operation that thread 2 never does.
void missing_predecessor(Trace&) {
  static std::atomic<bool> done;
  spawn([] {
    if (sched::order_mode() == OrderMode::kReplay) return;
    sched::OrderedGuard(g_version[0], Tag::kObject);
    done.store(true);
  });
  while (sched::order_mode() == OrderMode::kRecord && !done.load()) sched::yield();
  sched::OrderedGuard(g_version[0], Tag::kObject);
}

TEST_F(Order, NoticesAnotherTag) {
  run({kPrimary}, ten_operations);
  EXPECT_EQ(run({kSerialFollower, kParallelFollower}, tenth_is_another),
            (std::vector{kDiverged, kDiverged}));
}
TEST_F(Order, NoticesAnOperationBeyondTheLog) {
  run({kPrimary}, ten_operations);
  EXPECT_EQ(run({kSerialFollower, kParallelFollower}, eleven_operations),
            (std::vector{kDiverged, kDiverged}));
}
TEST_F(Order, NoticesAVersionThatIsPast) {
  run({kPrimary}, ten_operations);
  EXPECT_EQ(run({kSerialFollower, kParallelFollower}, wrong_object),
            (std::vector{kDiverged, kDiverged}));
}
TEST_F(Order, NoticesSuccessWhereThePrimaryFailed) {
  EXPECT_EQ(run({kPrimary, kSerialFollower}, success_where_failure_was_logged),
            (std::vector{kPassed, kDiverged}));
}
TEST_F(Order, NoticesATurnThatNeverComes) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, missing_predecessor),
            (std::vector{kPassed, kDiverged, kDiverged}));
}

// ---- waiting

// The yielding thread must not keep the only carrier from looking at the log.
void yield_until_ordered(Trace&) {
  static std::atomic<bool> done;
  spawn([] {
    sched::OrderedGuard(g_version[0], Tag::kObject);
    done.store(true);
  });
  while (!done.load()) sched::yield();
  join_all();
}

TEST_F(Order, WaitersForTheLogAreServedWhileOthersYield) {
  const pid_t follower =
      start_replica(kSerialFollower, deck_, [this] { yield_until_ordered(traces_->replica[1]); });
  EXPECT_EQ(run({kPrimary}, yield_until_ordered), std::vector{kPassed});
  EXPECT_EQ(end_of(follower), kPassed);
}

TEST_F(Order, ALogThatIsFullEndsTheOrderButNotTheBatch) {
  const auto overrun = [](Trace&) {
    spawn([] { sched::OrderedGuard(g_version[1], Tag::kTable); });
    constexpr uint32_t kOperations = wire::kMaxThreadSegments * wire::kSegmentEntries + 100'000;
    for (uint32_t i = 0; i < kOperations; ++i) {
      sched::OrderedGuard(g_version[0], Tag::kObject);
    }
    join_all();
    REQUIRE_EQ(g_version[0], kOperations);
    REQUIRE_EQ(g_version[1], 1);
  };
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, overrun),
            (std::vector{kPassed, kPassed, kPassed}));
  EXPECT_EQ(deck_->log.overflow.load(), 1U);
}

// The coordinator's part when the primary has died: the followers go on without it.
TEST_F(Order, AFollowerGoesOnAloneWhenThePrimaryIsLost) {
  const pid_t follower =
      start_replica(kSerialFollower, deck_, [this] { ten_operations(traces_->replica[1]); });
  // Asleep for the log: nothing has been recorded.
  while (deck_->log_waiters.load() == 0) __builtin_ia32_pause();
  deck_->log.overflow.store(1);
  deck_->log_quiet.fetch_add(1);
  static_cast<void>(sys::futex_wake(deck_->log_quiet, 100).ok());
  EXPECT_EQ(end_of(follower), kPassed);
}

// Versions have 24 bits in the log.
void cross_the_wrap(Trace& trace) {
  for (auto& version : g_version) version = 0xffff'ff00;
  hammer(trace);
}
TEST_F(Order, VersionsWrapAround) {
  EXPECT_EQ(run({kPrimary, kSerialFollower, kParallelFollower}, cross_the_wrap),
            (std::vector{kPassed, kPassed, kPassed}));
  expect_equal_traces(0, 1);
  expect_equal_traces(0, 2);
}

TEST_F(Order, CountsOperations) {
  const auto count = [](Trace&) {
    REQUIRE_EQ(sched::ordered_operations(), 0);
    for (int i = 0; i < 10; ++i) sched::OrderedGuard(g_version[0], Tag::kObject);
    sched::log_failure(Tag::kMutex);
    REQUIRE_EQ(sched::ordered_operations(), 11);
  };
  EXPECT_EQ(run({kPrimary}, count), std::vector{kPassed});
}

}  // namespace
}  // namespace evenkeel::test
