// What is a deadlock, and what only looks like one.
#include "runtime/sync/deadlock.h"

#include <gtest/gtest.h>

#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using wire::WaitKind;

// Static: waiters look at them until the child ends.
pthread_mutex_t g_mutexes[32];
pthread_rwlock_t g_rwlock;
pthread_spinlock_t g_spins[2];
pthread_cond_t g_condition;
sem_t g_semaphore;
pthread_once_t g_onces[2];
uint64_t g_input;  // its address: a wait for something from outside

uint64_t address(const void* object) { return reinterpret_cast<uint64_t>(object); }

// One thread at a time, in the order of their birth: a yield lets each other thread come as far as
// its own. The pump then looks.
void look_when_quiet(std::function<void()> body, std::function<void(const wire::Waits&)> look) {
  EXPECT_EQ(kPassed, run_replica({}, [body, look] {
              sync::init();
              at_quiescence([look] {
                static wire::Waits waits;
                const bool found = sync::find_deadlock(waits);
                REQUIRE_EQ(found, waits.count != 0);
                look(waits);
                finish();
                return true;
              });
              body();
            }));
}

void require_wait(const wire::Waits& waits, uint32_t at, uint32_t thread, WaitKind kind,
                  const void* object, uint32_t owner) {
  REQUIRE(at < waits.count);
  const wire::Wait& wait = waits.wait[at];
  REQUIRE_EQ(wait.thread, thread);
  REQUIRE_EQ(wait.kind, kind);
  REQUIRE_EQ(wait.object, address(object));
  REQUIRE_EQ(wait.owner, owner);
}

void expect_none(std::function<void()> body) {
  look_when_quiet(std::move(body), [](const wire::Waits& waits) { REQUIRE_EQ(waits.count, 0); });
}

// Threads 1 to `count`: each locks its own mutex, then its neighbour's.
void lock_in_a_ring(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    spawn([i, count] {
      sync::mutex_lock(&g_mutexes[i]);
      sched::yield();
      sync::mutex_lock(&g_mutexes[(i + 1) % count]);
    });
  }
}

void hold_and_lock(pthread_mutex_t& first, pthread_mutex_t& second) {
  sync::mutex_lock(&first);
  sched::yield();
  sync::mutex_lock(&second);
}

TEST(Deadlock, OfOneThreadWithItself) {
  look_when_quiet(
      [] {
        spawn([] {
          sync::mutex_lock(&g_mutexes[0]);
          sync::mutex_lock(&g_mutexes[0]);
        });
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 1);
        require_wait(waits, 0, 1, WaitKind::kMutex, &g_mutexes[0], 1);
        REQUIRE_EQ(waits.wait[0].earlier, 0);
      });
}

TEST(Deadlock, OfTwoAndOfThree) {
  for (uint32_t count = 2; count <= 3; ++count) {
    look_when_quiet([count] { lock_in_a_ring(count); },
                    [count](const wire::Waits& waits) {
                      REQUIRE_EQ(waits.count, count);
                      REQUIRE_EQ(waits.truncated, 0);
                      for (uint32_t i = 0; i < count; ++i) {
                        require_wait(waits, i, i + 1, WaitKind::kMutex, &g_mutexes[(i + 1) % count],
                                     (i + 1) % count + 1);
                      }
                    });
  }
}

TEST(Deadlock, OfManyTellsTheEndOfTheWay) {
  look_when_quiet([] { lock_in_a_ring(20); },
                  [](const wire::Waits& waits) {
                    REQUIRE_EQ(waits.count, wire::kMaxWaits);
                    REQUIRE_EQ(waits.truncated, 1);
                    REQUIRE_EQ(waits.wait[wire::kMaxWaits - 1].thread, 20);
                    REQUIRE_EQ(waits.wait[wire::kMaxWaits - 1].owner, 1);
                  });
}

TEST(Deadlock, IsReachedThroughOthersThatOnlyWait) {
  look_when_quiet(
      [] {
        lock_in_a_ring(2);
        spawn([] { sync::mutex_lock(&g_mutexes[0]); });
      },
      [](const wire::Waits& waits) { REQUIRE_EQ(waits.count, 2); });
}

TEST(Deadlock, OfAWriterAndItsReaders) {
  look_when_quiet(
      [] {
        spawn([] {  // a reader with nothing to hide
          sync::rwlock_rdlock(&g_rwlock);
          park(address(&g_input));
        });
        spawn([] {
          sync::rwlock_rdlock(&g_rwlock);
          sched::yield();
          sync::mutex_lock(&g_mutexes[0]);
        });
        spawn([] {
          sync::mutex_lock(&g_mutexes[0]);
          sched::yield();
          sync::rwlock_wrlock(&g_rwlock);
        });
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 2);
        require_wait(waits, 0, 2, WaitKind::kMutex, &g_mutexes[0], 3);
        require_wait(waits, 1, 3, WaitKind::kWrite, &g_rwlock, 2);
      });
}

TEST(Deadlock, OfAReaderThatWantsToWrite) {
  look_when_quiet(
      [] {
        spawn([] {
          sync::rwlock_rdlock(&g_rwlock);
          sync::rwlock_wrlock(&g_rwlock);
        });
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 1);
        require_wait(waits, 0, 1, WaitKind::kWrite, &g_rwlock, 1);
      });
}

// The writer between the two readings waits for the first and holds up the second.
TEST(Deadlock, OfAReaderThatReadsAgainBehindAWriter) {
  look_when_quiet(
      [] {
        pthread_rwlockattr_t attributes;
        pthread_rwlockattr_init(&attributes);
        pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        sync::rwlock_init(&g_rwlock, &attributes);
        spawn([] {
          sync::rwlock_rdlock(&g_rwlock);
          sched::yield();
          sync::rwlock_rdlock(&g_rwlock);
        });
        spawn([] { sync::rwlock_wrlock(&g_rwlock); });
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 2);
        require_wait(waits, 0, 1, WaitKind::kRead, &g_rwlock, 2);
        require_wait(waits, 1, 2, WaitKind::kWrite, &g_rwlock, 1);
      });
}

TEST(Deadlock, OfSpinLocks) {
  look_when_quiet(
      [] {
        for (int i = 0; i < 2; ++i) {
          spawn([i] {
            sync::spin_lock(&g_spins[i]);
            sched::yield();
            sync::spin_lock(&g_spins[1 - i]);
          });
        }
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 2);
        require_wait(waits, 0, 1, WaitKind::kSpin, const_cast<int*>(&g_spins[1]), 2);
      });
}

TEST(Deadlock, OfOnceControls) {
  look_when_quiet(
      [] {
        for (int i = 0; i < 2; ++i) {
          spawn([i] {
            sync::once(&g_onces[i], i == 0 ? +[] {
              sched::yield();
              sync::once(&g_onces[1], [] {});
            } : +[] {
              sched::yield();
              sync::once(&g_onces[0], [] {});
            });
          });
        }
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 2);
        require_wait(waits, 0, 1, WaitKind::kOnce, &g_onces[1], 2);
      });
}

TEST(Deadlock, OfAJoinAndALock) {
  static uint32_t tid_word = 1;
  look_when_quiet(
      [] {
        spawn([] {
          sync::mutex_lock(&g_mutexes[0]);
          sched::yield();
          sched::lock();
          sched::enqueue_waiter(sched::self(), address(&tid_word), sched::kNoDeadline);
          sched::describe_wait(sched::self(), WaitKind::kJoin);
          sched::suspend_locked();
        });
        const sched::ThreadId joined = spawn([] { sync::mutex_lock(&g_mutexes[0]); });
        sched::thread(joined).clear_tid = address(&tid_word);
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 2);
        require_wait(waits, 0, 1, WaitKind::kJoin, &tid_word, 2);
        require_wait(waits, 1, 2, WaitKind::kMutex, &g_mutexes[0], 1);
      });
}

TEST(Deadlock, WithAnOwnerThatHasExited) {
  look_when_quiet(
      [] {
        spawn([] { sync::mutex_lock(&g_mutexes[0]); });
        spawn([] { sync::mutex_lock(&g_mutexes[0]); });
      },
      [](const wire::Waits& waits) {
        REQUIRE_EQ(waits.count, 1);
        require_wait(waits, 0, 2, WaitKind::kMutex, &g_mutexes[0], 1);
        REQUIRE_EQ(waits.wait[0].owner_exited, 1);
      });
}

TEST(Deadlock, ThatWasLeftStandingIsNotFoundAgain) {
  look_when_quiet([] { lock_in_a_ring(2); },
                  [](const wire::Waits& found) {
                    REQUIRE_EQ(found.count, 2);
                    sched::begin_order(sched::OrderMode::kFree, 8);
                    wire::Waits again;
                    REQUIRE(!sync::find_deadlock(again));
                  });
}

TEST(Deadlock, OfAnEarlierBatchIsFoundByWhoRunsIntoIt) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              sync::init();
              at_quiescence([] {
                static wire::Waits waits;
                const bool found = sync::find_deadlock(waits);
                if (quiescences() == 1) {
                  REQUIRE(found);
                  sched::begin_order(sched::OrderMode::kFree, 8);
                  return unpark(address(&g_input)) == 1;
                }
                REQUIRE(found);
                REQUIRE_EQ(waits.count, 3);
                require_wait(waits, 0, 3, WaitKind::kMutex, &g_mutexes[0], 1);
                REQUIRE_EQ(waits.wait[0].earlier, 0);
                REQUIRE_EQ(waits.wait[1].earlier, 1);
                REQUIRE_EQ(waits.wait[2].earlier, 1);
                finish();
                return true;
              });
              lock_in_a_ring(2);
              spawn([] {
                park(address(&g_input));
                sync::mutex_lock(&g_mutexes[0]);
              });
            }));
}

TEST(NoDeadlock, WhileAWaitHasADeadline) {
  expect_none([] {
    spawn([] { hold_and_lock(g_mutexes[0], g_mutexes[1]); });
    spawn([] {
      sync::mutex_lock(&g_mutexes[1]);
      sched::yield();
      const timespec later{4'000'000'000, 0};
      sync::mutex_timedlock(&g_mutexes[0], &later);
    });
  });
}

// Servers that pass the accepting on: one waits for input and holds the lock, the others wait for
// the lock.
TEST(NoDeadlock, WhileTheOwnerWaitsForInput) {
  expect_none([] {
    for (int i = 0; i < 4; ++i) {
      spawn([] {
        sync::mutex_lock(&g_mutexes[0]);
        park(address(&g_input));
      });
    }
  });
}

TEST(NoDeadlock, OfAnIdleThreadPool) {
  expect_none([] {
    for (int i = 0; i < 4; ++i) {
      spawn([] {
        sync::mutex_lock(&g_mutexes[0]);
        sync::cond_wait(&g_condition, &g_mutexes[0]);
      });
    }
    spawn([] { sync::sem_wait(&g_semaphore); });
    spawn([] { park(address(&g_input)); });
  });
}

// Its owner waits for work, which may come: this is no evidence.
TEST(NoDeadlock, WhileTheOwnerWaitsForACondition) {
  expect_none([] {
    spawn([] {
      sync::mutex_lock(&g_mutexes[0]);
      sync::mutex_lock(&g_mutexes[1]);
      sync::cond_wait(&g_condition, &g_mutexes[1]);
    });
    spawn([] { sync::mutex_lock(&g_mutexes[0]); });
  });
}

TEST(NoDeadlock, WhereReadersAreNotKnown) {
  static pthread_rwlock_t many[sched::Thread::kMaxHeld];
  expect_none([] {
    spawn([] {
      for (pthread_rwlock_t& rwlock : many) sync::rwlock_rdlock(&rwlock);
      sync::rwlock_rdlock(&g_rwlock);  // for this there is no room
      sync::rwlock_wrlock(&g_rwlock);
    });
  });
}

// Read locks that were given up are not owned any more, in whatever order.
TEST(NoDeadlock, WithReadersOfThePast) {
  static pthread_rwlock_t others[3];
  expect_none([] {
    spawn([] {
      sync::rwlock_rdlock(&g_rwlock);
      for (pthread_rwlock_t& rwlock : others) sync::rwlock_rdlock(&rwlock);
      sync::rwlock_unlock(&g_rwlock);
      for (pthread_rwlock_t& rwlock : others) sync::rwlock_unlock(&rwlock);
      sched::yield();
      sync::mutex_lock(&g_mutexes[0]);
    });
    spawn([] {
      sync::rwlock_rdlock(&g_rwlock);
      park(address(&g_input));
    });
    spawn([] {
      sync::mutex_lock(&g_mutexes[0]);
      sync::rwlock_wrlock(&g_rwlock);
    });
  });
}

TEST(NewWaits, AreThoseOfThisCommandWithoutADeadline) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              sync::init();
              at_quiescence([] {
                wire::Waits waits;
                sync::list_new_waits(waits);
                REQUIRE_EQ(waits.count, 2);
                require_wait(waits, 0, 1, WaitKind::kCondition, &g_condition, wire::kNoThread);
                require_wait(waits, 1, 2, WaitKind::kMutex, &g_mutexes[1], 1);
                sched::begin_order(sched::OrderMode::kFree, 8);
                sync::list_new_waits(waits);
                REQUIRE_EQ(waits.count, 0);
                finish();
                return true;
              });
              spawn([] {
                sync::mutex_lock(&g_mutexes[1]);
                sync::mutex_lock(&g_mutexes[0]);
                sync::cond_wait(&g_condition, &g_mutexes[0]);
              });
              spawn([] { sync::mutex_lock(&g_mutexes[1]); });
              spawn([] {
                const timespec later{4'000'000'000, 0};
                sync::sem_timedwait(&g_semaphore, &later);
              });
              spawn([] { park(address(&g_input)); });
            }));
}

}  // namespace
}  // namespace evenkeel::test
