// ISO C11 threads, which glibc builds from POSIX ones inside itself.
#include <threads.h>
#include <time.h>

#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

// Negative: the upper half of what the thread returns must not matter.
int minus_seven(void*) { return -7; }

TEST(C11Threads, JoinTellsTheResult) {
  thrd_t thread;
  ASSERT_EQ(thrd_create(&thread, minus_seven, nullptr), thrd_success);
  int result = 0;
  EXPECT_EQ(thrd_join(thread, &result), thrd_success);
  EXPECT_EQ(result, -7);
}

TEST(C11Threads, ExitEndsOnlyTheCaller) {
  thrd_t thread;
  const thrd_start_t leave = [](void*) -> int { thrd_exit(5); };
  ASSERT_EQ(thrd_create(&thread, leave, nullptr), thrd_success);
  int result = 0;
  EXPECT_EQ(thrd_join(thread, &result), thrd_success);
  EXPECT_EQ(result, 5);
}

struct Shared {
  mtx_t mutex;
  cnd_t changed;
  int count = 0;
  int ended = 0;
};

int count_up(void* argument) {
  auto& shared = *static_cast<Shared*>(argument);
  for (int i = 0; i < 1000; ++i) {
    mtx_lock(&shared.mutex);
    ++shared.count;
    mtx_unlock(&shared.mutex);
  }
  mtx_lock(&shared.mutex);
  ++shared.ended;
  cnd_broadcast(&shared.changed);
  mtx_unlock(&shared.mutex);
  return 0;
}

// Nobody joins: the end is seen through the condition alone.
TEST(C11Threads, DetachedOnesShareAMutexAndACondition) {
  constexpr int kThreads = 4;
  static Shared shared;
  ASSERT_EQ(mtx_init(&shared.mutex, mtx_plain), thrd_success);
  ASSERT_EQ(cnd_init(&shared.changed), thrd_success);
  for (int i = 0; i < kThreads; ++i) {
    thrd_t thread;
    ASSERT_EQ(thrd_create(&thread, count_up, &shared), thrd_success);
    EXPECT_EQ(thrd_detach(thread), thrd_success);
  }
  ASSERT_EQ(mtx_lock(&shared.mutex), thrd_success);
  while (shared.ended < kThreads) cnd_wait(&shared.changed, &shared.mutex);
  EXPECT_EQ(shared.count, kThreads * 1000);
  EXPECT_EQ(mtx_unlock(&shared.mutex), thrd_success);
}

TEST(C11Threads, MutexesKnowTheirType) {
  mtx_t plain;
  mtx_t recursive;
  ASSERT_EQ(mtx_init(&plain, mtx_plain), thrd_success);
  ASSERT_EQ(mtx_init(&recursive, mtx_plain | mtx_recursive), thrd_success);
  ASSERT_EQ(mtx_lock(&plain), thrd_success);
  EXPECT_EQ(mtx_trylock(&plain), thrd_busy);
  ASSERT_EQ(mtx_lock(&recursive), thrd_success);
  EXPECT_EQ(mtx_trylock(&recursive), thrd_success);
  EXPECT_EQ(mtx_unlock(&recursive), thrd_success);
  EXPECT_EQ(mtx_unlock(&recursive), thrd_success);
  EXPECT_EQ(mtx_unlock(&plain), thrd_success);
  mtx_destroy(&plain);
  mtx_destroy(&recursive);
}

timespec after_ms(long ms) {
  timespec time{};
  EXPECT_EQ(timespec_get(&time, TIME_UTC), TIME_UTC);
  time.tv_nsec += ms * 1'000'000;
  time.tv_sec += time.tv_nsec / 1'000'000'000;
  time.tv_nsec %= 1'000'000'000;
  return time;
}

TEST(C11Threads, WaitsEndAtTheirDeadline) {
  mtx_t mutex;
  cnd_t never;
  ASSERT_EQ(mtx_init(&mutex, mtx_timed), thrd_success);
  ASSERT_EQ(cnd_init(&never), thrd_success);
  ASSERT_EQ(mtx_lock(&mutex), thrd_success);
  const timespec deadline = after_ms(20);
  EXPECT_EQ(cnd_timedwait(&never, &mutex, &deadline), thrd_timedout);
  const timespec later = after_ms(20);
  EXPECT_EQ(mtx_timedlock(&mutex, &later), thrd_timedout);
  EXPECT_EQ(mtx_unlock(&mutex), thrd_success);
  cnd_destroy(&never);
  mtx_destroy(&mutex);
}

TEST(C11Threads, OnceIsOnce) {
  static once_flag flag = ONCE_FLAG_INIT;
  static int calls = 0;
  const thrd_start_t call = [](void*) -> int {
    call_once(&flag, [] { ++calls; });
    return calls;
  };
  std::vector<thrd_t> threads(3);
  for (thrd_t& thread : threads) ASSERT_EQ(thrd_create(&thread, call, nullptr), thrd_success);
  for (const thrd_t thread : threads) {
    int seen = 0;
    EXPECT_EQ(thrd_join(thread, &seen), thrd_success);
    EXPECT_EQ(seen, 1);
  }
}

}  // namespace
}  // namespace conformance
