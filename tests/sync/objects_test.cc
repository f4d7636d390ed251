// Condition variables, rwlocks, semaphores, barriers, once: who waits, who goes on, what is left.
#include <gtest/gtest.h>

#include <atomic>
#include <csetjmp>
#include <cstring>

#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

const Role kRoles[] = {{}, {.carriers = 2, .parallelism = 2}, {.carriers = 4, .parallelism = 4}};

void run(const Role& role, std::function<void()> body) {
  EXPECT_EQ(kPassed, run_replica(role, [body] {
              sync::init();
              body();
            }));
}
void run_in_all(const std::function<void()>& body) {
  for (const Role& role : kRoles) run(role, body);
}

// Parks until every other thread is parked.
void settle() {
  static bool wanted;
  constexpr uint64_t kKey = 12345;
  wanted = true;
  at_quiescence([] {
    if (!wanted) return false;
    wanted = false;
    return unpark(kKey) != 0;
  });
  park(kKey);
}

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;
uint32_t g_order[16];
std::atomic<uint32_t> g_count;
void note_order() { g_order[g_count++] = sched::index_of(sched::self().id); }

TEST(Condition, SignalWakesInOrderOfArrival) {
  run({}, [] {
    for (int i = 0; i < 4; ++i) {
      spawn([] {
        sync::mutex_lock(&g_mutex);
        REQUIRE_EQ(sync::cond_wait(&g_cond, &g_mutex), 0);
        note_order();
        sync::mutex_unlock(&g_mutex);
      });
    }
    settle();
    for (uint32_t i = 1; i <= 2; ++i) {
      sync::cond_signal(&g_cond);
      settle();
      REQUIRE_EQ(g_count.load(), i);
      REQUIRE_EQ(g_order[i - 1], i);
    }
    sync::cond_broadcast(&g_cond);
    join_all();
    REQUIRE_EQ(g_count.load(), 4);
  });
}

TEST(Condition, ForgetsSignalsThatNobodyWaitsFor) {
  run({}, [] {
    sync::cond_signal(&g_cond);
    sync::cond_broadcast(&g_cond);
    spawn([] {
      sync::mutex_lock(&g_mutex);
      sync::cond_wait(&g_cond, &g_mutex);
      note_order();
      sync::mutex_unlock(&g_mutex);
    });
    settle();
    REQUIRE_EQ(g_count.load(), 0);
    sync::cond_signal(&g_cond);
    join_all();
  });
}

TEST(Condition, GivesUpOneLevelOfARecursiveMutex) {
  static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  run({}, [] {
    spawn([] {
      sync::mutex_lock(&mutex);
      sync::mutex_lock(&mutex);
      sync::cond_wait(&g_cond, &mutex);
      sync::mutex_unlock(&mutex);
      REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
      REQUIRE_EQ(sync::mutex_unlock(&mutex), EPERM);
    });
    settle();
    REQUIRE_EQ(sync::mutex_trylock(&mutex), EBUSY);
    sync::cond_signal(&g_cond);
    join_all();
    REQUIRE_EQ(sync::mutex_trylock(&mutex), 0);
  });
}

TEST(Condition, LeavesOnlyItsVersionBehind) {
  run_in_all([] {
    static std::atomic<bool> over;
    for (int i = 0; i < 3; ++i) {
      spawn([] {
        sync::mutex_lock(&g_mutex);
        while (!over) sync::cond_wait(&g_cond, &g_mutex);
        sync::mutex_unlock(&g_mutex);
      });
    }
    for (int i = 0; i < 2000; ++i) sync::cond_signal(&g_cond);
    sync::mutex_lock(&g_mutex);
    over = true;
    sync::mutex_unlock(&g_mutex);
    sync::cond_broadcast(&g_cond);
    join_all();
    const pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
    std::memset(&g_cond, 0, sizeof(uint32_t));
    REQUIRE_EQ(std::memcmp(&g_cond, &fresh, sizeof fresh), 0);
    REQUIRE_EQ(g_mutex.__data.__lock, 0);
  });
}

// A bounded queue: no item lost, none twice, nobody stuck.
TEST(Condition, CarriesABoundedQueue) {
  constexpr uint32_t kItems = 30'000;
  static uint32_t queue[4], head, tail, sum, taken;
  static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
  static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
  run_in_all([] {
    for (int i = 0; i < 3; ++i) {
      spawn([] {
        for (uint32_t n = 1; n <= kItems; ++n) {
          sync::mutex_lock(&g_mutex);
          while (tail - head == 4) sync::cond_wait(&not_full, &g_mutex);
          queue[tail++ % 4] = n;
          sync::cond_signal(&not_empty);
          sync::mutex_unlock(&g_mutex);
        }
      });
      spawn([] {
        for (uint32_t n = 1; n <= kItems; ++n) {
          sync::mutex_lock(&g_mutex);
          while (tail == head) sync::cond_wait(&not_empty, &g_mutex);
          sum += queue[head++ % 4];
          ++taken;
          sync::cond_signal(&not_full);
          sync::mutex_unlock(&g_mutex);
        }
      });
    }
    join_all();
    REQUIRE_EQ(taken, 3 * kItems);
    REQUIRE_EQ(sum, static_cast<uint32_t>(3 * (uint64_t{kItems} * (kItems + 1) / 2)));
  });
}

TEST(Condition, TimersOfWaitersExpireInOrder) {
  run({.carriers = 2, .parallelism = 2}, [] {
    const auto now_s = static_cast<time_t>(sched::batch_time().realtime_ns / 1'000'000'000);
    for (int i = 1; i <= 4; ++i) {
      spawn([i, now_s] {
        const timespec then{now_s + (i % 2 == 0 ? 5 : 10), 0};
        sync::mutex_lock(&g_mutex);
        REQUIRE_EQ(sync::cond_timedwait(&g_cond, &g_mutex, &then), ETIMEDOUT);
        note_order();
        sync::mutex_unlock(&g_mutex);
      });
    }
    join_all();
    const uint32_t expected[] = {2, 4, 1, 3};
    for (int i = 0; i < 4; ++i) REQUIRE_EQ(g_order[i], expected[i]);
  });
}

TEST(Condition, ASignalToTheThreadIsASpuriousWakeUp) {
  run({}, [] {
    const sched::ThreadId waiter = spawn([] {
      sync::mutex_lock(&g_mutex);
      REQUIRE_EQ(sync::cond_wait(&g_cond, &g_mutex), 0);
      REQUIRE_EQ(g_mutex.__data.__owner, 2);
      sync::mutex_unlock(&g_mutex);
    });
    settle();
    sched::lock();
    sched::wake_thread(sched::thread(waiter), sched::Wake::kSignal);
    sched::unlock();
    join_all();
  });
}

// ---- rwlocks

struct RwlockWords {
  uint32_t readers, writer, version;
};
void require_rwlock(const pthread_rwlock_t& lock, uint32_t readers, uint32_t writer) {
  RwlockWords words;
  std::memcpy(&words, &lock, sizeof words);
  REQUIRE_EQ(words.readers, readers);
  REQUIRE_EQ(words.writer, writer);
}

// Thread 1 waits to write, 2 to read, 3 to write, 4 to read, while thread 0 writes.
void rwlock_queue(pthread_rwlock_t* lock) {
  sync::rwlock_wrlock(lock);
  for (int i = 1; i <= 4; ++i) {
    spawn([i, lock] {
      if (i % 2 == 1) {
        REQUIRE_EQ(sync::rwlock_wrlock(lock), 0);
        require_rwlock(*lock, 0, static_cast<uint32_t>(i) + 1);
      } else {
        REQUIRE_EQ(sync::rwlock_rdlock(lock), 0);
      }
      note_order();
      park(static_cast<uint64_t>(i));
      REQUIRE_EQ(sync::rwlock_unlock(lock), 0);
    });
  }
  settle();
  sync::rwlock_unlock(lock);
  settle();
}

TEST(Rwlock, PrefersReadersByDefault) {
  static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  run({}, [] {
    rwlock_queue(&lock);
    REQUIRE_EQ(g_count.load(), 2);
    REQUIRE_EQ(g_order[0], 2);
    REQUIRE_EQ(g_order[1], 4);
    require_rwlock(lock, 2, 0);
    REQUIRE_EQ(sync::rwlock_tryrdlock(&lock), 0);  // though writers wait
    sync::rwlock_unlock(&lock);
    unpark(2);
    settle();
    REQUIRE_EQ(g_count.load(), 2);  // one reader is left
    unpark(4);
    settle();
    REQUIRE_EQ(g_order[2], 1);
    unpark(1);
    settle();
    REQUIRE_EQ(g_order[3], 3);
    unpark(3);
    join_all();
    require_rwlock(lock, 0, 0);
  });
}

TEST(Rwlock, PrefersWritersWhenAsked) {
  static pthread_rwlock_t lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
  run({}, [] {
    rwlock_queue(&lock);
    REQUIRE_EQ(g_order[0], 1);
    require_rwlock(lock, 0, 2);
    unpark(1);
    settle();
    REQUIRE_EQ(g_order[1], 3);
    unpark(3);
    settle();
    REQUIRE_EQ(g_count.load(), 4);
    require_rwlock(lock, 2, 0);
    unpark(2);
    unpark(4);
    join_all();
  });
}

// Readers that wait only behind a writer go on when he gives up.
TEST(Rwlock, AWriterThatTimesOutLetsReadersPass) {
  static pthread_rwlock_t lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
  run({.carriers = 2, .parallelism = 2}, [] {
    const auto now_s = static_cast<time_t>(sched::batch_time().realtime_ns / 1'000'000'000);
    sync::rwlock_rdlock(&lock);
    spawn([now_s] {
      const timespec then{now_s + 1, 0};
      REQUIRE_EQ(sync::rwlock_timedwrlock(&lock, &then), ETIMEDOUT);
    });
    settle();
    spawn([] {
      REQUIRE_EQ(sync::rwlock_rdlock(&lock), 0);
      note_order();
    });
    settle();
    REQUIRE_EQ(g_count.load(), 0);
    join_all();
    REQUIRE_EQ(g_count.load(), 1);
    require_rwlock(lock, 2, 0);
  });
}

TEST(Rwlock, SharesAndExcludes) {
  static pthread_rwlock_t lock;
  static std::atomic<int> reading, writing;
  for (const int kind :
       {PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP}) {
    run_in_all([kind] {
      pthread_rwlockattr_t attributes;
      pthread_rwlockattr_init(&attributes);
      pthread_rwlockattr_setkind_np(&attributes, kind);
      sync::rwlock_init(&lock, &attributes);
      for (uint32_t i = 0; i < 5; ++i) {
        spawn([i] {
          Random random(i);
          for (int n = 0; n < 20'000; ++n) {
            if (random.below(4) == 0) {
              REQUIRE_EQ(sync::rwlock_wrlock(&lock), 0);
              REQUIRE_EQ(writing.fetch_add(1) + reading.load(), 0);
              if (random.below(16) == 0) sched::yield();
              writing.fetch_sub(1);
            } else {
              REQUIRE_EQ(sync::rwlock_rdlock(&lock), 0);
              reading.fetch_add(1);
              REQUIRE_EQ(writing.load(), 0);
              if (random.below(16) == 0) sched::yield();
              reading.fetch_sub(1);
            }
            REQUIRE_EQ(sync::rwlock_unlock(&lock), 0);
          }
        });
      }
      join_all();
      require_rwlock(lock, 0, 0);
    });
  }
}

TEST(Rwlock, RefusesToUnlockWhatIsNotLocked) {
  static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  run({}, [] {
    REQUIRE_EQ(sync::rwlock_unlock(&lock), EPERM);
    sync::rwlock_wrlock(&lock);
    spawn([] { REQUIRE_EQ(sync::rwlock_unlock(&lock), EPERM); });
    join_all();
    REQUIRE_EQ(sync::rwlock_unlock(&lock), 0);
  });
}

// ---- semaphores

TEST(Semaphore, PostsGoToWaitersInOrder) {
  static sem_t semaphore;
  run({}, [] {
    sync::sem_init(&semaphore, 0, 0);
    for (int i = 0; i < 3; ++i) {
      spawn([] {
        REQUIRE_EQ(sync::sem_wait(&semaphore), 0);
        note_order();
      });
    }
    settle();
    sync::sem_post(&semaphore);
    sync::sem_post(&semaphore);
    // Already theirs, though they have not run.
    REQUIRE_EQ(sync::sem_trywait(&semaphore), EAGAIN);
    settle();
    REQUIRE_EQ(g_count.load(), 2);
    sync::sem_post(&semaphore);
    join_all();
    for (uint32_t i = 0; i < 3; ++i) REQUIRE_EQ(g_order[i], i + 1);
  });
}

TEST(Semaphore, CountsEveryPost) {
  static sem_t items, room;
  run_in_all([] {
    sync::sem_init(&items, 0, 0);
    sync::sem_init(&room, 0, 3);
    for (int i = 0; i < 2; ++i) {
      spawn([] {
        for (int n = 0; n < 30'000; ++n) {
          sync::sem_wait(&room);
          sync::sem_post(&items);
        }
      });
      spawn([] {
        for (int n = 0; n < 30'000; ++n) {
          sync::sem_wait(&items);
          sync::sem_post(&room);
        }
      });
    }
    join_all();
    int value = 0;
    sync::sem_getvalue(&items, &value);
    REQUIRE_EQ(value, 0);
    sync::sem_getvalue(&room, &value);
    REQUIRE_EQ(value, 3);
  });
}

TEST(Semaphore, WaitsAgainAfterASignal) {
  static sem_t semaphore;
  run({}, [] {
    sync::sem_init(&semaphore, 0, 0);
    const sched::ThreadId waiter = spawn([] {
      REQUIRE_EQ(sync::sem_wait(&semaphore), 0);
      note_order();
    });
    settle();
    sched::lock();
    sched::wake_thread(sched::thread(waiter), sched::Wake::kSignal);
    sched::unlock();
    settle();
    REQUIRE_EQ(g_count.load(), 0);
    sync::sem_post(&semaphore);
    join_all();
    REQUIRE_EQ(g_count.load(), 1);
  });
}

// ---- barriers

TEST(Barrier, KeepsThreadsInStep) {
  constexpr uint32_t kThreads = 5;
  constexpr uint32_t kRounds = 5000;
  static pthread_barrier_t barrier;
  static std::atomic<uint32_t> arrived, serial_threads;
  run_in_all([] {
    sync::barrier_init(&barrier, nullptr, kThreads);
    for (uint32_t i = 0; i < kThreads; ++i) {
      spawn([] {
        for (uint32_t round = 1; round <= kRounds; ++round) {
          arrived.fetch_add(1);
          const int result = sync::barrier_wait(&barrier);
          REQUIRE(arrived.load() >= round * kThreads);
          REQUIRE(arrived.load() < (round + 1) * kThreads);
          REQUIRE(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
          if (result != 0) serial_threads.fetch_add(1);
        }
      });
    }
    join_all();
    REQUIRE_EQ(serial_threads.load(), kRounds);
  });
}

TEST(Barrier, WaitsOnAfterASignal) {
  static pthread_barrier_t barrier;
  run({}, [] {
    sync::barrier_init(&barrier, nullptr, 2);
    const sched::ThreadId waiter = spawn([] {
      REQUIRE_EQ(sync::barrier_wait(&barrier), 0);
      note_order();
    });
    for (int i = 0; i < 3; ++i) {
      settle();
      REQUIRE_EQ(g_count.load(), 0);
      sched::lock();
      if (i < 2) sched::wake_thread(sched::thread(waiter), sched::Wake::kSignal);
      sched::unlock();
    }
    // Woken by a signal, and the round completes before it runs.
    sched::lock();
    sched::wake_thread(sched::thread(waiter), sched::Wake::kSignal);
    sched::unlock();
    REQUIRE_EQ(sync::barrier_wait(&barrier), PTHREAD_BARRIER_SERIAL_THREAD);
    join_all();
    REQUIRE_EQ(g_count.load(), 1);
  });
}

// ---- once

TEST(Once, RunsOnceAndOthersWaitForIt) {
  static pthread_once_t control = PTHREAD_ONCE_INIT;
  static std::atomic<int> runs, done;
  run_in_all([] {
    for (int i = 0; i < 4; ++i) {
      spawn([] {
        sync::once(&control, [] {
          runs.fetch_add(1);
          for (int n = 0; n < 100; ++n) sched::yield();
          done.store(1);
        });
        REQUIRE_EQ(done.load(), 1);
      });
    }
    join_all();
    REQUIRE_EQ(runs.load(), 1);
    sched::BatchTime time = sched::batch_time();
    ++time.batch;
    sched::set_batch_time(time);
    sync::once(&control, [] { runs.fetch_add(1); });
    REQUIRE_EQ(runs.load(), 1);
  });
}

// As after an exception: the routine never came back.
TEST(Once, MayBeTriedAgainByItsThread) {
  static pthread_once_t control = PTHREAD_ONCE_INIT;
  static jmp_buf before;
  static int runs;
  run({}, [] {
    if (setjmp(before) == 0) {
      sync::once(&control, [] {
        ++runs;
        longjmp(before, 1);
      });
    }
    spawn([] {
      sync::once(&control, [] { REQUIRE(false); });
      REQUIRE_EQ(runs, 2);
    });
    settle();  // the other one waits
    sync::once(&control, [] { ++runs; });
    join_all();
    REQUIRE_EQ(runs, 2);
  });
}

}  // namespace
}  // namespace evenkeel::test
