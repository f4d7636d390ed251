// Hand-off, the exact words, and what is left of them.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/timers.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

constexpr Role kParallel{.carriers = 4, .parallelism = 4};

struct Words {
  uint32_t state, depth, owner, version;
};
Words words_of(const pthread_mutex_t& mutex) {
  Words words;
  std::memcpy(&words, &mutex, sizeof words);
  return words;
}
void require_words(const pthread_mutex_t& mutex, uint32_t state, uint32_t owner) {
  REQUIRE_EQ(words_of(mutex).state, state);
  REQUIRE_EQ(words_of(mutex).owner, owner);
}
uint32_t my_number() { return sched::index_of(sched::self().id) + 1; }

// Parks until every other thread is parked.
void settle() {
  static uint64_t wanted;
  wanted = 1;
  at_quiescence(
      [] { return wanted != 0 && (wanted = 0, unpark(reinterpret_cast<uint64_t>(&wanted)) != 0); });
  park(reinterpret_cast<uint64_t>(&wanted));
}

void run(const Role& role, std::function<void()> body) {
  EXPECT_EQ(kPassed, run_replica(role, [body] {
              sync::init();
              body();
            }));
}

// The same where operations are recorded: only then do versions count.
void run_recorded(Role role, std::function<void()> body) {
  role.mode = sched::OrderMode::kRecord;
  wire::Deck* const deck = make_deck();
  EXPECT_EQ(kPassed, end_of(start_replica(role, deck, [body] {
              sync::init();
              body();
            })));
  release_deck(deck);
}

// The waiters' numbers in the order in which they must own the mutex.
void hand_over_in_turn(pthread_mutex_t* mutex) {
  static uint32_t owned_by[5];
  static uint32_t count;
  sync::mutex_lock(mutex);
  require_words(*mutex, 1, 1);
  for (int i = 0; i < 4; ++i) {
    spawn([mutex] {
      REQUIRE_EQ(sync::mutex_lock(mutex), 0);
      owned_by[count++] = my_number();
      // 2 as long as somebody waits; the kernel lock keeps them from coming or going.
      sched::lock();
      const bool waiters = sched::first_waiter(reinterpret_cast<uint64_t>(mutex)) != nullptr;
      require_words(*mutex, waiters ? 2 : 1, my_number());
      sched::unlock();
      sync::mutex_unlock(mutex);
    });
  }
  settle();
  require_words(*mutex, 2, 1);
  REQUIRE_EQ(sync::mutex_unlock(mutex), 0);
  join_all();
  for (uint32_t i = 0; i < 4; ++i) REQUIRE_EQ(owned_by[i], i + 2);
  require_words(*mutex, 0, 0);
}

TEST(Mutex, HandsOverInOrderOfArrival) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  run({}, [] { hand_over_in_turn(&mutex); });
  static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  run({}, [] { hand_over_in_turn(&recursive); });
}

// Serial: nobody runs between the unlock and the look at the words.
TEST(Mutex, BelongsToTheFirstWaiterAtOnce) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  run({}, [] {
    sync::mutex_lock(&mutex);
    for (int i = 0; i < 3; ++i) {
      spawn([] {
        sync::mutex_lock(&mutex);
        sync::mutex_unlock(&mutex);
      });
    }
    settle();
    sync::mutex_unlock(&mutex);
    require_words(mutex, 2, 2);
    REQUIRE_EQ(sync::mutex_trylock(&mutex), EBUSY);  // a switch point: thread 1 unlocks
    require_words(mutex, 2, 3);
    join_all();
    require_words(mutex, 0, 0);
  });
}

void leave_behind(const pthread_mutex_t& initial, uint32_t version) {
  static pthread_mutex_t used;
  used = initial;
  for (int i = 0; i < 4; ++i) {
    spawn([] {
      for (int n = 0; n < 5000; ++n) {
        REQUIRE_EQ(sync::mutex_lock(&used), 0);
        if (used.__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP) {
          REQUIRE_EQ(sync::mutex_lock(&used), 0);
          REQUIRE_EQ(sync::mutex_unlock(&used), 0);
        }
        REQUIRE_EQ(sync::mutex_unlock(&used), 0);
      }
    });
  }
  join_all();
  REQUIRE_EQ(words_of(used).version, version);
  used.__data.__nusers = 0;
  REQUIRE_EQ(std::memcmp(&used, &initial, sizeof used), 0);
}

TEST(Mutex, LeavesOnlyKindBehindAndWhereRecordedItsVersion) {
  const pthread_mutex_t fresh[] = {
      PTHREAD_MUTEX_INITIALIZER, PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
      PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP, PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP};
  for (const pthread_mutex_t& initial : fresh) {
    run(kParallel, [&initial] { leave_behind(initial, 0); });
    run_recorded(kParallel, [&initial] { leave_behind(initial, 20'000); });
  }
}

TEST(Mutex, IsExactAfterATimeout) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static timespec soon, later;
  run(kParallel, [] {
    const auto now_s = static_cast<time_t>(sched::batch_time().monotonic_ns / 1'000'000'000);
    soon = {now_s + 1, 0};
    later = {now_s + 2, 0};
    sync::mutex_lock(&mutex);
    spawn([] { REQUIRE_EQ(sync::mutex_clocklock(&mutex, CLOCK_MONOTONIC, &soon), ETIMEDOUT); });
    spawn([] { REQUIRE_EQ(sync::mutex_clocklock(&mutex, CLOCK_MONOTONIC, &later), ETIMEDOUT); });
    at_quiescence([] {
      if (quiescences() > 3) return false;
      // 1: both wait; 2: one has given up; 3: the other too.
      const uint64_t waiters = quiescences() < 3 ? 3 - quiescences() : 0;
      require_words(mutex, waiters != 0 ? 2 : 1, 1);
      return waiters == 0 && unpark(1) != 0;
    });
    park(1);
    REQUIRE_EQ(quiescences(), 3);
    sync::mutex_unlock(&mutex);
    require_words(mutex, 0, 0);
    join_all();
  });
}

TEST(Mutex, GoesToAWaiterWhoseTimerIsStillFarAway) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static const timespec far{2'000'000'000, 0};
  run({}, [] {
    sync::mutex_lock(&mutex);
    spawn([] {
      REQUIRE_EQ(sync::mutex_timedlock(&mutex, &far), 0);
      sync::mutex_unlock(&mutex);
    });
    settle();
    sync::mutex_unlock(&mutex);
    join_all();
    REQUIRE_EQ(sched::next_deadline_ns(), UINT64_MAX);
  });
}

TEST(Mutex, WaitsAgainAfterASignal) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static bool owned;
  run({}, [] {
    sync::mutex_lock(&mutex);
    const sched::ThreadId waiter = spawn([] {
      REQUIRE_EQ(sync::mutex_lock(&mutex), 0);
      owned = true;
      sync::mutex_unlock(&mutex);
    });
    settle();
    sched::lock();
    sched::wake_thread(sched::thread(waiter), sched::Wake::kSignal);
    sched::unlock();
    settle();
    REQUIRE(!owned);
    require_words(mutex, 2, 1);
    sync::mutex_unlock(&mutex);
    join_all();
    REQUIRE(owned);
  });
}

TEST(Mutex, RobustOneIsHandedToAWaiterWhenItsOwnerExits) {
  static pthread_mutex_t mutex;
  run({}, [] {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    sync::mutex_init(&mutex, &attributes);
    spawn([] {
      sync::mutex_lock(&mutex);
      park(1);
      sync::release_robust_mutexes();
    });
    for (int i = 0; i < 2; ++i) {
      spawn([i] {
        REQUIRE_EQ(sync::mutex_lock(&mutex), i == 0 ? EOWNERDEAD : 0);
        if (i == 0) REQUIRE_EQ(sync::mutex_consistent(&mutex), 0);
        REQUIRE_EQ(sync::mutex_unlock(&mutex), 0);
      });
    }
    settle();
    require_words(mutex, 2, 2);
    unpark(1);
    join_all();
    require_words(mutex, 0, 0);
  });
}

void exclude(const Role& role, int (*lock)(), int (*unlock)()) {
  static uint64_t counter;
  counter = 0;
  run(role, [=] {
    for (int i = 0; i < 6; ++i) {
      spawn([=] {
        for (int n = 0; n < 50'000; ++n) {
          REQUIRE_EQ(lock(), 0);
          ++counter;
          REQUIRE_EQ(unlock(), 0);
        }
      });
    }
    join_all();
    REQUIRE_EQ(counter, 300'000);
  });
}

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_spinlock_t g_spin;

TEST(Mutex, Excludes) {
  for (const Role& role : {Role{}, Role{.carriers = 2, .parallelism = 2}, kParallel}) {
    exclude(
        role, [] { return sync::mutex_lock(&g_mutex); },
        [] { return sync::mutex_unlock(&g_mutex); });
  }
}
TEST(Mutex, ExcludesByTryLock) {
  for (const Role& role : {Role{}, kParallel}) {
    exclude(
        role,
        [] {
          while (sync::mutex_trylock(&g_mutex) != 0) {
          }
          return 0;
        },
        [] { return sync::mutex_unlock(&g_mutex); });
  }
}
TEST(Spin, Excludes) {
  sync::spin_init(&g_spin, 0);
  for (const Role& role : {Role{}, Role{.carriers = 2, .parallelism = 2}, kParallel}) {
    exclude(
        role, [] { return sync::spin_lock(&g_spin); }, [] { return sync::spin_unlock(&g_spin); });
  }
}

// The holder yields inside: a spinning waiter would never let it run again.
TEST(Spin, ParksInASerialReplica) {
  sync::spin_init(&g_spin, 0);
  exclude(
      {},
      [] {
        const int result = sync::spin_lock(&g_spin);
        if (sched::self().id == sched::ThreadId{3}) sched::yield();
        return result;
      },
      [] { return sync::spin_unlock(&g_spin); });
}

TEST(Spin, KeepsItsVersionApartFromItsState) {
  static pthread_spinlock_t spin;
  run_recorded({}, [] {
    spin = 0x00ff'fffe;  // free, two operations before the version wraps around
    for (uint32_t version : {0xff'ffffU, 0U, 1U}) {
      sync::spin_lock(&spin);
      REQUIRE_EQ(spin, 1 << 24 | version);
      sync::spin_unlock(&spin);
      REQUIRE_EQ(spin, version);
    }
    sync::spin_lock(&spin);
    spawn([] {
      sync::spin_lock(&spin);
      sync::spin_unlock(&spin);
    });
    settle();
    REQUIRE_EQ(spin, 2 << 24 | 2);
    sync::spin_unlock(&spin);
    join_all();
    REQUIRE_EQ(spin, 3);
  });
}

}  // namespace
}  // namespace evenkeel::test
