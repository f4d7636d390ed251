// A primary that runs in parallel, a serial and a parallel follower, and a program that uses every
// object in every way at random. After each group the replicas must agree in every byte: objects,
// what the critical sections computed, who waits where in which order. Then all go on without an
// order log, one thread at a time, and must still agree: the wait queues were equal too.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sched/timers.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using sched::OrderMode;

constexpr uint32_t kWorkers = 8;
constexpr uint32_t kMutexes = 4;  // normal, recursive, errorcheck, normal
constexpr uint32_t kOperations = 60;
constexpr uint32_t kRecordedGroups = 1500;
constexpr uint32_t kGroups = kRecordedGroups + 500;

// All that the program and the runtime below it remember.
struct World {
  pthread_mutex_t mutex[kMutexes];
  pthread_cond_t cond[2];
  pthread_rwlock_t rwlock[2];
  sem_t semaphore;
  pthread_barrier_t barrier;
  pthread_spinlock_t spin;
  pthread_once_t once[kGroups / 16 + 1];
  uint64_t once_runs;
  // Hashes over what happened in which order: under each lock, and as each thread saw it.
  uint64_t under_mutex[kMutexes];
  uint64_t under_rwlock[2];
  uint64_t under_spin;
  uint64_t seen_by[kWorkers + 1];  // the last rescues
};
World g_world;

struct Snapshot {
  World world;
  uint32_t mutex_queue[kMutexes][kWorkers];  // ids of waiters
  uint32_t state[kWorkers];
};
struct History {
  uint32_t groups;
  uint32_t operations;
  uint32_t blocked;   // workers in a lock at quiescence, summed over groups
  uint32_t timeouts;  // timers that expired
  uint32_t failures;  // try-locks that failed
  Snapshot after[kGroups];
};
History* g_history;

void mix(uint64_t& hash, uint64_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15U + 1; }

uint64_t input_key(uint32_t worker) {
  return reinterpret_cast<uint64_t>(&g_world.seen_by[worker]) + 1;
}

// Enters what happened under a lock, and takes note of what it has come to.
void touch(uint64_t& under, uint32_t worker, uint64_t what) {
  mix(under, what * kWorkers + worker);
  mix(g_world.seen_by[worker], under);
}

timespec soon(Random& random) {
  const uint64_t ns = sched::batch_time().realtime_ns + random.below(4) * 1'000'000;
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

// ---- what a worker may do

void use_mutex(uint32_t worker, Random& random) {
  const uint32_t i = random.below(kMutexes);
  pthread_mutex_t& mutex = g_world.mutex[i];
  const uint32_t how = random.below(8);
  int result = 0;
  if (how == 0) {
    result = sync::mutex_trylock(&mutex);
    if (result == EBUSY) ++g_history->failures;
  } else if (how == 1) {
    const timespec deadline = soon(random);
    result = sync::mutex_timedlock(&mutex, &deadline);
  } else {
    result = sync::mutex_lock(&mutex);
  }
  mix(g_world.seen_by[worker], static_cast<uint64_t>(result));
  if (result != 0) return;
  if (i == 1) REQUIRE_EQ(sync::mutex_lock(&mutex), 0);
  touch(g_world.under_mutex[i], worker, how);
  if (random.below(100) == 0) park(input_key(worker));  // others will be blocked at quiescence
  if (random.below(8) == 0) sched::yield();
  if (i == 1) REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
  REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
}

void use_condition(uint32_t worker, Random& random) {
  const uint32_t i = random.below(2);
  pthread_mutex_t& mutex = g_world.mutex[i * 2];
  sync::mutex_lock(&mutex);
  const uint32_t how = random.below(6);
  int result = 0;
  if (how == 0) {
    const timespec deadline = soon(random);
    result = sync::cond_timedwait(&g_world.cond[i], &mutex, &deadline);
  } else if (how == 1) {
    result = sync::cond_wait(&g_world.cond[i], &mutex);
  } else if (how == 2) {
    sync::cond_broadcast(&g_world.cond[i]);
  } else {
    sync::cond_signal(&g_world.cond[i]);
  }
  touch(g_world.under_mutex[i * 2], worker, static_cast<uint64_t>(result));
  sync::mutex_unlock(&mutex);
}

int lock_rwlock(pthread_rwlock_t& lock, uint32_t how, Random& random) {
  const timespec deadline = soon(random);
  switch (how) {
    case 0:
      return sync::rwlock_tryrdlock(&lock);
    case 1:
      return sync::rwlock_trywrlock(&lock);
    case 2:
      return sync::rwlock_timedrdlock(&lock, &deadline);
    case 3:
      return sync::rwlock_timedwrlock(&lock, &deadline);
    case 4:
      return sync::rwlock_wrlock(&lock);
    default:
      return sync::rwlock_rdlock(&lock);
  }
}

void use_rwlock(uint32_t worker, Random& random) {
  const uint32_t i = random.below(2);
  const uint32_t how = random.below(10);
  const int result = lock_rwlock(g_world.rwlock[i], how, random);
  mix(g_world.seen_by[worker], static_cast<uint64_t>(result));
  if (result != 0) return;
  const bool writes = how == 1 || how == 3 || how == 4;
  if (writes) {
    touch(g_world.under_rwlock[i], worker, how);
  } else {
    mix(g_world.seen_by[worker], g_world.under_rwlock[i]);
  }
  if (random.below(100) == 0) park(input_key(worker));
  if (random.below(4) == 0) sched::yield();
  sync::rwlock_unlock(&g_world.rwlock[i]);
}

void use_semaphore(uint32_t worker, Random& random) {
  sem_t& semaphore = g_world.semaphore;
  const timespec deadline = soon(random);
  int result = 0;
  switch (random.below(6)) {
    case 0:
      result = sync::sem_trywait(&semaphore);
      break;
    case 1:
      result = sync::sem_timedwait(&semaphore, &deadline);
      break;
    case 2:
      result = sync::sem_wait(&semaphore);
      break;
    default:
      result = sync::sem_post(&semaphore);
  }
  mix(g_world.seen_by[worker], static_cast<uint64_t>(result));
}

void use_spin(uint32_t worker, Random& random) {
  if (random.below(4) == 0) {
    const int result = sync::spin_trylock(&g_world.spin);
    mix(g_world.seen_by[worker], static_cast<uint64_t>(result));
    if (result != 0) return;
  } else {
    sync::spin_lock(&g_world.spin);
  }
  touch(g_world.under_spin, worker, 0);
  if (random.below(8) == 0) sched::yield();
  if (random.below(300) == 0) park(input_key(worker));
  sync::spin_unlock(&g_world.spin);
}

void use_others(uint32_t worker, Random& random) {
  if (random.below(8) == 0) {
    const int result = sync::barrier_wait(&g_world.barrier);
    mix(g_world.seen_by[worker], static_cast<uint64_t>(result));
  } else {
    sync::once(&g_world.once[sched::batch_time().batch / 16], [] { ++g_world.once_runs; });
    mix(g_world.seen_by[worker], g_world.once_runs);
  }
}

void work(uint32_t worker) {
  constexpr void (*kUses[])(uint32_t, Random&) = {use_mutex,     use_mutex,  use_mutex,
                                                  use_condition, use_rwlock, use_semaphore,
                                                  use_spin,      use_others};
  Random random(worker + 1);
  for (;;) {
    park(input_key(worker));
    for (uint32_t i = 0; i < kOperations; ++i) {
      // What comes next depends on what was seen: replay must be exact to go on.
      __atomic_fetch_add(&g_history->operations, 1, __ATOMIC_RELAXED);
      Random choice(random.below(1U << 30) + g_world.seen_by[worker]);
      kUses[choice.below(8)](worker, choice);
      sched::await_closing();
    }
  }
}

// Keeps the others from ending up all in waits that nobody ends.
void rescue() {
  for (;;) {
    park(input_key(kWorkers));
    int value = 0;
    sync::sem_getvalue(&g_world.semaphore, &value);
    if (value == 0) sync::sem_post(&g_world.semaphore);
    for (auto& cond : g_world.cond) sync::cond_broadcast(&cond);
  }
}

// ---- the pump

void take_snapshot(Snapshot& out) {
  out.world = g_world;
  const sched::Guard guard;
  for (uint32_t i = 0; i < kMutexes; ++i) {
    uint32_t place = 0;
    for (const sched::Thread* t =
             sched::first_waiter(reinterpret_cast<uint64_t>(&g_world.mutex[i]));
         t != nullptr; t = sched::next_waiter(*t)) {
      out.mutex_queue[i][place++] = sched::index_of(t->id);
      ++g_history->blocked;
    }
    const auto state = static_cast<uint32_t>(g_world.mutex[i].__data.__lock);
    REQUIRE_EQ(state == 2, place != 0);
  }
  for (uint32_t i = 0; i < kWorkers; ++i) {
    out.state[i] = static_cast<uint32_t>(sched::thread(sched::ThreadId{i + 1}).state);
  }
}

bool expire_timer() {
  const sched::Guard guard;
  return sched::expire_one(sched::batch_time().monotonic_ns);
}

void begin_batch() {
  sched::BatchTime time = sched::batch_time();
  ++time.batch;
  time.monotonic_ns += 1'000'000;
  time.realtime_ns += 1'000'000;
  sched::set_batch_time(time);
}

bool next_group() {
  if (sched::stopping()) return false;
  sched::end_group();
  History& history = *g_history;
  take_snapshot(history.after[history.groups]);
  if (++history.groups == kGroups) finish();
  if (history.groups == kRecordedGroups) {
    end_command();
    sched::begin_order(OrderMode::kFree, 8);
    sched::set_parallelism(1);
  }
  if (expire_timer()) {
    ++history.timeouts;
    return true;
  }
  begin_batch();
  Random random(history.groups);
  for (uint32_t i = 0; i < kWorkers; ++i) {
    if (random.below(2) == 0) unpark(input_key(i));
  }
  unpark(input_key(kWorkers));
  return true;
}

void run_world(History& history) {
  g_history = &history;
  sync::init();
  sched::set_lock_probe(sync::lock_held);
  const pthread_mutex_t initial[] = {
      PTHREAD_MUTEX_INITIALIZER, PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
      PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP, PTHREAD_MUTEX_INITIALIZER};
  for (uint32_t i = 0; i < kMutexes; ++i) g_world.mutex[i] = initial[i];
  const pthread_rwlock_t writers = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
  g_world.rwlock[1] = writers;
  sync::sem_init(&g_world.semaphore, 0, 3);
  sync::barrier_init(&g_world.barrier, nullptr, 2);
  at_quiescence(next_group);
  for (uint32_t i = 0; i < kWorkers; ++i) spawn([i] { work(i); });
  spawn(rescue);
  park(1);
}

// ---- the replicas

struct Outcome {
  std::vector<int> ends;
  std::vector<History*> histories;
};

Outcome run(const std::vector<Role>& roles) {
  wire::Deck* deck = make_deck();
  Outcome outcome;
  std::vector<pid_t> children;
  for (const Role& role : roles) {
    History& history = shared<History>();
    outcome.histories.push_back(&history);
    children.push_back(start_replica(role, deck, [&history] { run_world(history); }));
  }
  for (const pid_t child : children) outcome.ends.push_back(end_of(child));
  release_deck(deck);
  return outcome;
}

void expect_equal_worlds(const World& a, const World& b) {
  for (uint32_t i = 0; i < kMutexes; ++i) {
    EXPECT_EQ(0, std::memcmp(&a.mutex[i], &b.mutex[i], sizeof a.mutex[i])) << "mutex " << i;
    EXPECT_EQ(a.under_mutex[i], b.under_mutex[i]) << "under mutex " << i;
  }
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(0, std::memcmp(&a.cond[i], &b.cond[i], sizeof a.cond[i])) << "condition " << i;
    EXPECT_EQ(0, std::memcmp(&a.rwlock[i], &b.rwlock[i], sizeof a.rwlock[i])) << "rwlock " << i;
    EXPECT_EQ(a.under_rwlock[i], b.under_rwlock[i]) << "under rwlock " << i;
  }
  EXPECT_EQ(0, std::memcmp(&a.semaphore, &b.semaphore, sizeof a.semaphore)) << "semaphore";
  EXPECT_EQ(0, std::memcmp(&a.barrier, &b.barrier, sizeof a.barrier)) << "barrier";
  EXPECT_EQ(a.spin, b.spin) << "spin lock";
  EXPECT_EQ(a.under_spin, b.under_spin) << "under spin lock";
  EXPECT_EQ(0, std::memcmp(a.once, b.once, sizeof a.once)) << "once";
  for (uint32_t i = 0; i < kWorkers; ++i) EXPECT_EQ(a.seen_by[i], b.seen_by[i]) << "worker " << i;
}

void expect_equal(const History& a, const History& b) {
  ASSERT_EQ(a.groups, b.groups);
  for (uint32_t g = 0; g < a.groups; ++g) {
    const Snapshot& left = a.after[g];
    const Snapshot& right = b.after[g];
    if (std::memcmp(&left, &right, sizeof left) == 0) continue;
    expect_equal_worlds(left.world, right.world);
    for (uint32_t i = 0; i < kWorkers; ++i) EXPECT_EQ(left.state[i], right.state[i]) << i;
    EXPECT_EQ(0, std::memcmp(left.mutex_queue, right.mutex_queue, sizeof left.mutex_queue));
    FAIL() << "first difference after group " << g;
  }
}

constexpr Role kPrimary{OrderMode::kRecord, 4, 4, 0};
constexpr Role kSerialPrimary{OrderMode::kRecord, 1, 1, 0};
constexpr Role kSerialFollower{OrderMode::kReplay, 1, 1, 1};
constexpr Role kParallelFollower{OrderMode::kReplay, 4, 4, 2};

void expect_agreement(const std::vector<Role>& roles) {
  const Outcome outcome = run(roles);
  ASSERT_EQ(outcome.ends, std::vector(roles.size(), kPassed));
  for (size_t i = 1; i < roles.size(); ++i) {
    SCOPED_TRACE(i);
    expect_equal(*outcome.histories[0], *outcome.histories[i]);
  }
  const History& history = *outcome.histories[0];
  EXPECT_GT(history.blocked, 50U) << "nobody was blocked in a lock at quiescence";
  EXPECT_GT(history.timeouts, 20U);
  EXPECT_GT(history.failures, 5U);
  testing::Test::RecordProperty("operations", static_cast<int>(history.operations));
  testing::Test::RecordProperty("blocked", static_cast<int>(history.blocked));
  testing::Test::RecordProperty("timeouts", static_cast<int>(history.timeouts));
}

TEST(Replay, FollowersAgreeWithAParallelPrimary) {
  for (int i = 0; i < 10; ++i) expect_agreement({kPrimary, kSerialFollower, kParallelFollower});
}
TEST(Replay, FollowersAgreeWithASerialPrimary) {
  expect_agreement({kSerialPrimary, kSerialFollower, kParallelFollower});
}
TEST(Replay, SerialRunsWithoutALogAgree) {
  const Role alone{OrderMode::kFree, 1, 1, 0};
  expect_agreement({alone, alone});
}
// The checker must be able to fail: parallel runs without a log do not agree.
TEST(Replay, ParallelRunsWithoutALogDiffer) {
  const Role free{OrderMode::kFree, 4, 4, 0};
  const Outcome outcome = run({free, free});
  ASSERT_EQ(outcome.ends, (std::vector{kPassed, kPassed}));
  EXPECT_NE(0, std::memcmp(outcome.histories[0], outcome.histories[1], sizeof(History)));
}

}  // namespace
}  // namespace evenkeel::test
