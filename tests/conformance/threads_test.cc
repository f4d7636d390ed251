// Threads: births, ends, data of their own, futexes, the primitives of the C library.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

void* as_pointer(intptr_t value) { return reinterpret_cast<void*>(value); }

timespec after_ns(clockid_t clock, long ns) {
  timespec time{};
  clock_gettime(clock, &time);
  time.tv_nsec += ns;
  time.tv_sec += time.tv_nsec / 1'000'000'000;
  time.tv_nsec %= 1'000'000'000;
  return time;
}

// ---- life

TEST(Threads, JoinTellsTheResult) {
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr, [](void* argument) { return argument; }, as_pointer(42)),
            0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, as_pointer(42));
}

TEST(Threads, ExitEndsOnlyTheCaller) {
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr, [](void*) -> void* { pthread_exit(as_pointer(7)); }, nullptr),
            0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, as_pointer(7));
}

TEST(Threads, DetachedOnesEndByThemselves) {
  static std::atomic<int> ended;
  static std::mutex mutex;
  static std::condition_variable changed;
  ended = 0;
  pthread_attr_t detached;
  ASSERT_EQ(pthread_attr_init(&detached), 0);
  ASSERT_EQ(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED), 0);
  for (int i = 0; i < 10; ++i) {
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, i % 2 == 0 ? &detached : nullptr,
                  [](void* detach) -> void* {
                    if (detach != nullptr) pthread_detach(pthread_self());
                    const std::lock_guard guard(mutex);
                    ++ended;
                    changed.notify_one();
                    return nullptr;
                  },
                  i % 2 == 0 ? nullptr : as_pointer(1)),
              0);
  }
  std::unique_lock guard(mutex);
  changed.wait(guard, [] { return ended == 10; });
  pthread_attr_destroy(&detached);
}

TEST(Threads, HaveIdsOfTheirOwn) {
  const auto own = static_cast<pid_t>(syscall(SYS_gettid));
  EXPECT_EQ(own, getpid());  // this is the initial thread
  std::mutex mutex;
  std::set<long> ids = {own};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const long id = syscall(SYS_gettid);
      EXPECT_EQ(id, syscall(SYS_gettid));
      const std::lock_guard guard(mutex);
      ids.insert(id);
    });
  }
  // All are counted before any is joined, so none can have taken over another's.
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(ids.size(), 2u);
}

TEST(Threads, ManyComeAndGo) {
  std::atomic<int> sum = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 20; ++i) threads.emplace_back([&, i] { sum += i; });
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(sum, 20 * 190);
}

TEST(Threads, HaveTheStackTheyAskFor) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 4 << 20), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void*) -> void* {
                  volatile char deep[3 << 20];
                  for (size_t i = 0; i < sizeof deep; i += 4096) deep[i] = 1;
                  return as_pointer(deep[4096]);
                },
                nullptr),
            0);
  void* result = nullptr;
  EXPECT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, as_pointer(1));
  pthread_attr_destroy(&attributes);
}

// ---- data of their own

thread_local int t_counter = 0;

TEST(Threads, KeepTheirLocalVariablesApart) {
  t_counter = 5;
  std::thread other([] {
    EXPECT_EQ(t_counter, 0);
    t_counter = 9;
  });
  other.join();
  EXPECT_EQ(t_counter, 5);
}

TEST(Threads, DestroyTheirSpecificData) {
  static std::atomic<int> destroyed;
  destroyed = 0;
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* value) {
                                 destroyed += static_cast<int>(reinterpret_cast<intptr_t>(value));
                               }),
            0);
  std::vector<std::thread> threads;
  for (int i = 1; i <= 4; ++i) {
    threads.emplace_back([&, i] {
      EXPECT_EQ(pthread_getspecific(key), nullptr);
      EXPECT_EQ(pthread_setspecific(key, as_pointer(i)), 0);
      EXPECT_EQ(pthread_getspecific(key), as_pointer(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(destroyed, 10);
  EXPECT_EQ(pthread_key_delete(key), 0);
}

struct Noisy {
  static inline std::atomic<int> alive = 0;
  Noisy() { ++alive; }
  ~Noisy() { --alive; }
  int value = 0;
};
thread_local Noisy t_noisy;

TEST(Threads, DestroyTheirLocalObjects) {
  std::thread other([] {
    t_noisy.value = 1;
    EXPECT_GE(Noisy::alive, 1);
  });
  other.join();
  EXPECT_EQ(Noisy::alive, 0);
}

TEST(Threads, RunCleanUpHandlersWhenTheyExit) {
  static std::atomic<int> cleaned;
  cleaned = 0;
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  pthread_cleanup_push([](void*) { ++cleaned; }, nullptr);
                  pthread_exit(nullptr);
                  pthread_cleanup_pop(0);
                  return nullptr;
                },
                nullptr),
            0);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_EQ(cleaned, 1);
}

// ---- futexes

long futex(std::atomic<uint32_t>& word, int op, uint32_t value, const timespec* timeout = nullptr,
           std::atomic<uint32_t>* other = nullptr, uint32_t third = 0) {
  return syscall(SYS_futex, &word, op, value, timeout, other, third);
}

TEST(Futexes, DoNotWaitForWhatHasChanged) {
  std::atomic<uint32_t> word = 1;
  EXPECT_ERRNO(futex(word, FUTEX_WAIT_PRIVATE, 0), EAGAIN);
  EXPECT_EQ(futex(word, FUTEX_WAKE_PRIVATE, 10), 0);
}

TEST(Futexes, TimeOut) {
  std::atomic<uint32_t> word = 0;
  const timespec relative{0, 10'000'000};
  EXPECT_ERRNO(futex(word, FUTEX_WAIT_PRIVATE, 0, &relative), ETIMEDOUT);
  const timespec absolute = after_ns(CLOCK_MONOTONIC, 10'000'000);
  EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 0, &absolute, nullptr, ~0u), ETIMEDOUT);
  const timespec wrong{0, -1};
  EXPECT_ERRNO(futex(word, FUTEX_WAIT_PRIVATE, 0, &wrong), EINVAL);
}

TEST(Futexes, WakeWhoWaits) {
  std::atomic<uint32_t> word = 0;
  std::atomic<int> awake = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (word == 0) futex(word, FUTEX_WAIT_PRIVATE, 0);
      ++awake;
    });
  }
  word = 1;
  while (awake < 4) {
    futex(word, FUTEX_WAKE_PRIVATE, 1);
    sched_yield();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Futexes, RequeueMovesWaiters) {
  std::atomic<uint32_t> first = 0, second = 0;
  EXPECT_EQ(futex(first, FUTEX_REQUEUE_PRIVATE, 1, reinterpret_cast<const timespec*>(1), &second),
            0);
  EXPECT_ERRNO(
      futex(first, FUTEX_CMP_REQUEUE_PRIVATE, 1, reinterpret_cast<const timespec*>(1), &second, 5),
      EAGAIN);
}

// ---- the C library's primitives

TEST(Primitives, MutexesExclude) {
  std::mutex mutex;
  int counter = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 2000; ++k) {
        const std::lock_guard guard(mutex);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 8000);
}

TEST(Primitives, KindsOfMutexes) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t mutex;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  ASSERT_EQ(pthread_mutex_init(&mutex, &attributes), 0);
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  std::thread([&] { EXPECT_EQ(pthread_mutex_trylock(&mutex), EBUSY); }).join();
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_destroy(&mutex), 0);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  ASSERT_EQ(pthread_mutex_init(&mutex, &attributes), 0);
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_lock(&mutex), EDEADLK);
  std::thread([&] { EXPECT_EQ(pthread_mutex_unlock(&mutex), EPERM); }).join();
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_destroy(&mutex), 0);
  pthread_mutexattr_destroy(&attributes);
}

TEST(Primitives, TimedLocksGiveUp) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ASSERT_EQ(pthread_mutex_lock(&mutex), 0);
  std::thread([&] {
    const timespec soon = after_ns(CLOCK_REALTIME, 10'000'000);
    EXPECT_EQ(pthread_mutex_timedlock(&mutex, &soon), ETIMEDOUT);
  }).join();
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
}

TEST(Primitives, ConditionsPassABatonAround) {
  constexpr int kThreads = 4, kRounds = 50;
  std::mutex mutex;
  std::condition_variable changed;
  int turn = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        std::unique_lock guard(mutex);
        changed.wait(guard, [&] { return turn % kThreads == i; });
        ++turn;
        changed.notify_all();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turn, kThreads * kRounds);
}

TEST(Primitives, ConditionsTimeOut) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock guard(mutex);
  EXPECT_EQ(never.wait_for(guard, std::chrono::milliseconds(10)), std::cv_status::timeout);
  EXPECT_TRUE(guard.owns_lock());
}

TEST(Primitives, ReadersShareAndWritersExclude) {
  std::shared_mutex mutex;
  int value = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 500; ++k) {
        if (i == 0) {
          const std::unique_lock guard(mutex);
          ++value;
        } else {
          const std::shared_lock guard(mutex);
          EXPECT_LE(value, 500);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(value, 500);
}

TEST(Primitives, SemaphoresCount) {
  sem_t items;
  ASSERT_EQ(sem_init(&items, 0, 0), 0);
  EXPECT_ERRNO(sem_trywait(&items), EAGAIN);
  std::thread producer([&] {
    for (int i = 0; i < 100; ++i) EXPECT_EQ(sem_post(&items), 0);
  });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sem_wait(&items), 0);
  producer.join();
  int value = -1;
  EXPECT_EQ(sem_getvalue(&items, &value), 0);
  EXPECT_EQ(value, 0);
  const timespec soon = after_ns(CLOCK_REALTIME, 10'000'000);
  EXPECT_ERRNO(sem_timedwait(&items, &soon), ETIMEDOUT);
  EXPECT_EQ(sem_destroy(&items), 0);
}

TEST(Primitives, BarriersMeet) {
  pthread_barrier_t barrier;
  ASSERT_EQ(pthread_barrier_init(&barrier, nullptr, 3), 0);
  std::atomic<int> serial = 0, arrived = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int round = 1; round <= 10; ++round) {
        ++arrived;
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) ++serial;
        EXPECT_GE(arrived, 3 * round);
        pthread_barrier_wait(&barrier);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(serial, 10);
  EXPECT_EQ(pthread_barrier_destroy(&barrier), 0);
}

TEST(Primitives, OnceIsOnce) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static std::atomic<int> runs;
  runs = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([] { pthread_once(&once, [] { ++runs; }); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(runs, 1);
}

TEST(Primitives, SpinLocksExclude) {
  pthread_spinlock_t lock;
  ASSERT_EQ(pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE), 0);
  int counter = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 500; ++k) {
        pthread_spin_lock(&lock);
        ++counter;
        pthread_spin_unlock(&lock);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 1500);
}

TEST(Primitives, FuturesDeliver) {
  std::promise<std::string> promise;
  std::future<std::string> future = promise.get_future();
  std::thread other([&] { promise.set_value("delivered"); });
  EXPECT_EQ(future.get(), "delivered");
  other.join();
}

}  // namespace
}  // namespace conformance
