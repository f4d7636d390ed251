// Before sched::start() there is one thread: constructors of libraries, main's beginning.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

const timespec kFarAway{4'000'000'000, 0};

// In a child without scheduler. What it says on stderr comes back in `said`.
int run_alone(void (*body)(), std::string* said = nullptr) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    arena::init();
    sync::init();
    body();
    _exit(kPassed);
  }
  close(ends[1]);
  char buffer[512];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    if (said != nullptr) said->append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  return end_of(child);
}

void use_everything() {
  pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  pthread_spinlock_t spin;
  sem_t semaphore;
  pthread_barrier_t barrier;
  static pthread_once_t control = PTHREAD_ONCE_INIT;
  static int runs = 0;
  REQUIRE_EQ(sync::mutex_lock(&mutex), 0);
  REQUIRE_EQ(mutex.__data.__owner, 1);
  REQUIRE_EQ(sync::mutex_trylock(&mutex), EBUSY);
  REQUIRE_EQ(sync::mutex_timedlock(&mutex, &kFarAway), ETIMEDOUT);
  REQUIRE_EQ(sync::cond_timedwait(&cond, &mutex, &kFarAway), ETIMEDOUT);
  REQUIRE_EQ(sync::cond_signal(&cond), 0);
  REQUIRE_EQ(sync::cond_broadcast(&cond), 0);
  REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
  REQUIRE_EQ(mutex.__data.__owner, 0);
  REQUIRE_EQ(sync::mutex_lock(&recursive), 0);
  REQUIRE_EQ(sync::mutex_lock(&recursive), 0);
  REQUIRE_EQ(sync::mutex_unlock(&recursive), 0);
  REQUIRE_EQ(sync::mutex_unlock(&recursive), 0);
  REQUIRE_EQ(sync::mutex_unlock(&recursive), EPERM);
  REQUIRE_EQ(sync::rwlock_rdlock(&rwlock), 0);
  REQUIRE_EQ(sync::rwlock_trywrlock(&rwlock), EBUSY);
  REQUIRE_EQ(sync::rwlock_unlock(&rwlock), 0);
  REQUIRE_EQ(sync::rwlock_wrlock(&rwlock), 0);
  REQUIRE_EQ(sync::rwlock_rdlock(&rwlock), EDEADLK);
  REQUIRE_EQ(sync::rwlock_unlock(&rwlock), 0);
  REQUIRE_EQ(sync::spin_init(&spin, 0), 0);
  REQUIRE_EQ(sync::spin_lock(&spin), 0);
  REQUIRE_EQ(sync::spin_trylock(&spin), EBUSY);
  REQUIRE_EQ(sync::spin_unlock(&spin), 0);
  REQUIRE_EQ(sync::sem_init(&semaphore, 0, 0), 0);
  REQUIRE_EQ(sync::sem_trywait(&semaphore), EAGAIN);
  REQUIRE_EQ(sync::sem_timedwait(&semaphore, &kFarAway), ETIMEDOUT);
  REQUIRE_EQ(sync::sem_post(&semaphore), 0);
  REQUIRE_EQ(sync::sem_wait(&semaphore), 0);
  REQUIRE_EQ(sync::barrier_init(&barrier, nullptr, 1), 0);
  REQUIRE_EQ(sync::barrier_wait(&barrier), PTHREAD_BARRIER_SERIAL_THREAD);
  for (int i = 0; i < 2; ++i) REQUIRE_EQ(sync::once(&control, [] { ++runs; }), 0);
  REQUIRE_EQ(runs, 1);
}

TEST(Alone, EverythingWorksUncontended) { EXPECT_EQ(kPassed, run_alone(use_everything)); }

void expect_fatal(void (*body)(), const char* object) {
  std::string said;
  EXPECT_GT(run_alone(body, &said), 128);  // a trap
  EXPECT_NE(said.find("block for ever"), std::string::npos) << said;
  EXPECT_NE(said.find(object), std::string::npos) << said;
}

TEST(Alone, BlockingForEverOnAMutexIsFatal) {
  expect_fatal(
      [] {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        sync::mutex_lock(&mutex);
        sync::mutex_lock(&mutex);
      },
      "lock");
}
TEST(Alone, BlockingForEverOnASpinLockIsFatal) {
  expect_fatal(
      [] {
        pthread_spinlock_t spin;
        sync::spin_init(&spin, 0);
        sync::spin_lock(&spin);
        sync::spin_lock(&spin);
      },
      "lock");
}
TEST(Alone, BlockingForEverOnAConditionIsFatal) {
  expect_fatal(
      [] {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
        sync::mutex_lock(&mutex);
        sync::cond_wait(&cond, &mutex);
      },
      "condition");
}
TEST(Alone, BlockingForEverOnASemaphoreIsFatal) {
  expect_fatal(
      [] {
        sem_t semaphore;
        sync::sem_init(&semaphore, 0, 0);
        sync::sem_wait(&semaphore);
      },
      "semaphore");
}
TEST(Alone, BlockingForEverOnAnRwlockIsFatal) {
  expect_fatal(
      [] {
        pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
        sync::rwlock_rdlock(&rwlock);
        sync::rwlock_wrlock(&rwlock);
      },
      "rwlock");
}
TEST(Alone, BlockingForEverOnABarrierIsFatal) {
  expect_fatal(
      [] {
        pthread_barrier_t barrier;
        sync::barrier_init(&barrier, nullptr, 2);
        sync::barrier_wait(&barrier);
      },
      "barrier");
}

// What was locked during start-up is unlocked by the main thread: its number is 1 before and after.
TEST(Alone, LocksOutliveTheStart) {
  static pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  sync::mutex_lock(&mutex);
  sync::rwlock_wrlock(&rwlock);
  EXPECT_EQ(kPassed, run_replica({}, [] {
              REQUIRE_EQ(sync::mutex_lock(&mutex), EDEADLK);
              REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
              REQUIRE_EQ(sync::rwlock_unlock(&rwlock), 0);
            }));
}

}  // namespace
}  // namespace evenkeel::test
