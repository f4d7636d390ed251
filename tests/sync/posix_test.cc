// The same scripts on glibc's functions and on ours must give the same answers, call by call.
#include <gtest/gtest.h>

#include <climits>
#include <functional>
#include <thread>

#include "runtime/sched/clock.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

struct Answers {
  int count;
  struct {
    int line;
    int value;
  } answer[1000];
};
Answers* g_answers = nullptr;  // shared with the child

void note(int line, int value) {
  REQUIRE(g_answers->count < 1000);
  g_answers->answer[g_answers->count++] = {line, value};
}
#define NOTE(expression) note(__LINE__, expression)

int error_of(int result) { return result == 0 ? 0 : errno; }

#define BOTH(name, params, args) \
  static int name params { return Real ? pthread_##name args : sync::name args; }
#define BOTH_SEM(name, params, args) \
  static int name params { return Real ? error_of(::name args) : sync::name args; }

template <bool Real>
struct Api {
  BOTH(mutex_init, (pthread_mutex_t * m, const pthread_mutexattr_t* a), (m, a))
  BOTH(mutex_destroy, (pthread_mutex_t * m), (m))
  BOTH(mutex_lock, (pthread_mutex_t * m), (m))
  BOTH(mutex_trylock, (pthread_mutex_t * m), (m))
  BOTH(mutex_timedlock, (pthread_mutex_t * m, const timespec* t), (m, t))
  BOTH(mutex_clocklock, (pthread_mutex_t * m, clockid_t c, const timespec* t), (m, c, t))
  BOTH(mutex_unlock, (pthread_mutex_t * m), (m))
  BOTH(mutex_consistent, (pthread_mutex_t * m), (m))
  BOTH(cond_init, (pthread_cond_t * c, const pthread_condattr_t* a), (c, a))
  BOTH(cond_destroy, (pthread_cond_t * c), (c))
  BOTH(cond_wait, (pthread_cond_t * c, pthread_mutex_t* m), (c, m))
  BOTH(cond_timedwait, (pthread_cond_t * c, pthread_mutex_t* m, const timespec* t), (c, m, t))
  BOTH(cond_clockwait, (pthread_cond_t * c, pthread_mutex_t* m, clockid_t k, const timespec* t),
       (c, m, k, t))
  BOTH(cond_signal, (pthread_cond_t * c), (c))
  BOTH(cond_broadcast, (pthread_cond_t * c), (c))
  BOTH(rwlock_init, (pthread_rwlock_t * l, const pthread_rwlockattr_t* a), (l, a))
  BOTH(rwlock_destroy, (pthread_rwlock_t * l), (l))
  BOTH(rwlock_rdlock, (pthread_rwlock_t * l), (l))
  BOTH(rwlock_tryrdlock, (pthread_rwlock_t * l), (l))
  BOTH(rwlock_timedrdlock, (pthread_rwlock_t * l, const timespec* t), (l, t))
  BOTH(rwlock_clockrdlock, (pthread_rwlock_t * l, clockid_t c, const timespec* t), (l, c, t))
  BOTH(rwlock_wrlock, (pthread_rwlock_t * l), (l))
  BOTH(rwlock_trywrlock, (pthread_rwlock_t * l), (l))
  BOTH(rwlock_timedwrlock, (pthread_rwlock_t * l, const timespec* t), (l, t))
  BOTH(rwlock_clockwrlock, (pthread_rwlock_t * l, clockid_t c, const timespec* t), (l, c, t))
  BOTH(rwlock_unlock, (pthread_rwlock_t * l), (l))
  BOTH(spin_init, (pthread_spinlock_t * s, int p), (s, p))
  BOTH(spin_destroy, (pthread_spinlock_t * s), (s))
  BOTH(spin_lock, (pthread_spinlock_t * s), (s))
  BOTH(spin_trylock, (pthread_spinlock_t * s), (s))
  BOTH(spin_unlock, (pthread_spinlock_t * s), (s))
  BOTH(barrier_init, (pthread_barrier_t * b, const pthread_barrierattr_t* a, unsigned n), (b, a, n))
  BOTH(barrier_destroy, (pthread_barrier_t * b), (b))
  BOTH(barrier_wait, (pthread_barrier_t * b), (b))
  BOTH(once, (pthread_once_t * o, void (*f)()), (o, f))
  BOTH_SEM(sem_init, (sem_t * s, int p, unsigned v), (s, p, v))
  BOTH_SEM(sem_destroy, (sem_t * s), (s))
  BOTH_SEM(sem_wait, (sem_t * s), (s))
  BOTH_SEM(sem_trywait, (sem_t * s), (s))
  BOTH_SEM(sem_timedwait, (sem_t * s, const timespec* t), (s, t))
  BOTH_SEM(sem_clockwait, (sem_t * s, clockid_t c, const timespec* t), (s, c, t))
  BOTH_SEM(sem_post, (sem_t * s), (s))
  BOTH_SEM(sem_getvalue, (sem_t * s, int* v), (s, v))

  // Runs `body` in a thread of its own and waits until it has exited.
  static void elsewhere(const std::function<void()>& body) {
    if (Real) {
      std::thread(body).join();
    } else {
      spawn([&body] {
        body();
        sync::release_robust_mutexes();
      });
      join_all();
    }
  }
  static timespec now(clockid_t clock) {
    timespec result{};
    if (Real) {
      clock_gettime(clock, &result);
      return result;
    }
    const auto& time = sched::batch_time();
    const uint64_t ns = clock == CLOCK_REALTIME ? time.realtime_ns : time.monotonic_ns;
    return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  }
  static timespec in_ms(clockid_t clock, long ms) {
    timespec result = now(clock);
    result.tv_nsec += ms * 1'000'000;
    result.tv_sec += result.tv_nsec / 1'000'000'000;
    result.tv_nsec %= 1'000'000'000;
    return result;
  }
};

const timespec kLongAgo{1, 0};
const timespec kBeforeTheEpoch{-5, 0};
const timespec kNotATime{INT_MAX, 1'000'000'000};
const timespec kNegativePart{INT_MAX, -1};

// ---- mutexes

template <typename A>
void use_by_owner(pthread_mutex_t* m, bool may_relock) {
  NOTE(A::mutex_trylock(m));
  NOTE(A::mutex_trylock(m));
  NOTE(A::mutex_timedlock(m, &kLongAgo));
  NOTE(A::mutex_timedlock(m, &kBeforeTheEpoch));
  NOTE(A::mutex_timedlock(m, &kNotATime));
  NOTE(A::mutex_clocklock(m, CLOCK_MONOTONIC, &kLongAgo));
  NOTE(A::mutex_clocklock(m, CLOCK_PROCESS_CPUTIME_ID, &kLongAgo));
  if (may_relock) NOTE(A::mutex_lock(m));
  NOTE(A::mutex_destroy(m));
  const timespec soon = A::in_ms(CLOCK_REALTIME, 3);
  NOTE(A::mutex_timedlock(m, &soon));
}

template <typename A>
void use_by_another(pthread_mutex_t* m, bool checks_owner) {
  A::elsewhere([m, checks_owner] {
    NOTE(A::mutex_trylock(m));
    NOTE(A::mutex_timedlock(m, &kLongAgo));
    NOTE(A::mutex_timedlock(m, &kNegativePart));
    if (checks_owner) NOTE(A::mutex_unlock(m));
    const timespec soon = A::in_ms(CLOCK_MONOTONIC, 3);
    NOTE(A::mutex_clocklock(m, CLOCK_MONOTONIC, &soon));
    const timespec later = A::in_ms(CLOCK_REALTIME, 3);
    NOTE(A::mutex_timedlock(m, &later));
  });
}

template <typename A>
void mutex_script(pthread_mutex_t* m, int type) {
  const bool recursive = type == PTHREAD_MUTEX_RECURSIVE;
  const bool checks = recursive || type == PTHREAD_MUTEX_ERRORCHECK;
  if (checks) NOTE(A::mutex_unlock(m));
  use_by_owner<A>(m, checks);
  use_by_another<A>(m, checks);
  if (recursive) {
    // 7 more levels were granted: trylock, 5 timed, lock; one timed asked for a clock that is none.
    for (int i = 0; i < 7; ++i) {
      NOTE(A::mutex_unlock(m));
      A::elsewhere([m] { NOTE(A::mutex_trylock(m)); });
    }
  }
  NOTE(A::mutex_unlock(m));
  if (checks) NOTE(A::mutex_unlock(m));
  NOTE(A::mutex_timedlock(m, &kLongAgo));  // free: the time does not matter
  NOTE(A::mutex_unlock(m));
  NOTE(A::mutex_timedlock(m, &kNotATime));
  NOTE(A::mutex_unlock(m));
  A::elsewhere([m] {
    NOTE(A::mutex_lock(m));
    NOTE(A::mutex_unlock(m));
  });
  NOTE(A::mutex_consistent(m));
  NOTE(A::mutex_destroy(m));
  NOTE(A::mutex_lock(m));
  NOTE(A::mutex_trylock(m));
  NOTE(A::mutex_unlock(m));
  NOTE(A::mutex_destroy(m));
}

template <typename A>
void static_mutexes() {
  pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  pthread_mutex_t checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
  mutex_script<A>(&normal, PTHREAD_MUTEX_NORMAL);
  mutex_script<A>(&recursive, PTHREAD_MUTEX_RECURSIVE);
  mutex_script<A>(&checking, PTHREAD_MUTEX_ERRORCHECK);
  mutex_script<A>(&adaptive, PTHREAD_MUTEX_NORMAL);
}

template <typename A>
void made_mutexes() {
  for (const int type : {PTHREAD_MUTEX_TIMED_NP, PTHREAD_MUTEX_RECURSIVE_NP,
                         PTHREAD_MUTEX_ERRORCHECK_NP, PTHREAD_MUTEX_ADAPTIVE_NP}) {
    for (const int shared : {PTHREAD_PROCESS_PRIVATE, PTHREAD_PROCESS_SHARED}) {
      pthread_mutexattr_t attributes;
      pthread_mutexattr_init(&attributes);
      pthread_mutexattr_settype(&attributes, type);
      pthread_mutexattr_setpshared(&attributes, shared);
      pthread_mutex_t mutex;
      NOTE(A::mutex_init(&mutex, &attributes));
      mutex_script<A>(&mutex, type);
    }
  }
  pthread_mutex_t mutex;
  NOTE(A::mutex_init(&mutex, nullptr));
  mutex_script<A>(&mutex, PTHREAD_MUTEX_DEFAULT);
}

template <typename A>
void robust_mutexes() {
  for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_t m[3];
    for (auto& mutex : m) NOTE(A::mutex_init(&mutex, &attributes));
    NOTE(A::mutex_lock(&m[0]));
    NOTE(A::mutex_unlock(&m[0]));
    NOTE(A::mutex_unlock(&m[0]));
    // Dies holding two of three, having released them in another order than taken.
    A::elsewhere([&m] {
      for (auto& mutex : m) NOTE(A::mutex_lock(&mutex));
      NOTE(A::mutex_unlock(&m[1]));
    });
    NOTE(A::mutex_lock(&m[1]));
    NOTE(A::mutex_unlock(&m[1]));
    NOTE(A::mutex_lock(&m[0]));
    NOTE(A::mutex_consistent(&m[0]));
    NOTE(A::mutex_consistent(&m[0]));
    NOTE(A::mutex_unlock(&m[0]));
    NOTE(A::mutex_lock(&m[0]));
    NOTE(A::mutex_unlock(&m[0]));
    NOTE(A::mutex_trylock(&m[2]));
    NOTE(A::mutex_unlock(&m[2]));  // not made consistent: lost for ever
    NOTE(A::mutex_lock(&m[2]));
    NOTE(A::mutex_timedlock(&m[2], &kLongAgo));
    NOTE(A::mutex_trylock(&m[2]));  // the last use: glibc 2.36 leaves it locked
    // The next owner dies as well.
    A::elsewhere([&m] { NOTE(A::mutex_lock(&m[1])); });
    A::elsewhere([&m] { NOTE(A::mutex_lock(&m[1])); });
    NOTE(A::mutex_timedlock(&m[1], &kLongAgo));
    NOTE(A::mutex_consistent(&m[1]));
    NOTE(A::mutex_unlock(&m[1]));
    for (auto& mutex : m) NOTE(A::mutex_destroy(&mutex));
  }
}

// ---- condition variables

template <typename A>
void timed_waits(pthread_cond_t* c, pthread_mutex_t* m, clockid_t clock) {
  NOTE(A::cond_timedwait(c, m, &kLongAgo));
  NOTE(A::cond_timedwait(c, m, &kNotATime));
  NOTE(A::cond_timedwait(c, m, &kNegativePart));
  const timespec soon = A::in_ms(clock, 3);
  NOTE(A::cond_timedwait(c, m, &soon));
  for (const clockid_t other : {CLOCK_REALTIME, CLOCK_MONOTONIC}) {
    const timespec then = A::in_ms(other, 3);
    NOTE(A::cond_clockwait(c, m, other, &then));
    NOTE(A::cond_clockwait(c, m, other, &kLongAgo));
    NOTE(A::cond_clockwait(c, m, other, &kNotATime));
  }
  NOTE(A::cond_clockwait(c, m, CLOCK_PROCESS_CPUTIME_ID, &kLongAgo));
  NOTE(A::mutex_trylock(m));  // still ours
}

template <typename A>
void conditions() {
  pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  pthread_cond_t fixed = PTHREAD_COND_INITIALIZER;
  NOTE(A::cond_wait(&fixed, &mutex));  // not held
  NOTE(A::cond_timedwait(&fixed, &mutex, &kLongAgo));
  NOTE(A::cond_signal(&fixed));
  NOTE(A::cond_broadcast(&fixed));
  NOTE(A::mutex_lock(&mutex));
  timed_waits<A>(&fixed, &mutex, CLOCK_REALTIME);
  for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC}) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, clock);
    pthread_cond_t made;
    NOTE(A::cond_init(&made, &attributes));
    timed_waits<A>(&made, &mutex, clock);
    NOTE(A::cond_destroy(&made));
  }
  NOTE(A::mutex_unlock(&mutex));
  NOTE(A::cond_destroy(&fixed));
}

// ---- rwlocks

template <typename A>
void rwlock_script(pthread_rwlock_t* l) {
  NOTE(A::rwlock_rdlock(l));
  NOTE(A::rwlock_tryrdlock(l));
  NOTE(A::rwlock_trywrlock(l));
  NOTE(A::rwlock_timedwrlock(l, &kLongAgo));
  NOTE(A::rwlock_timedrdlock(l, &kLongAgo));
  NOTE(A::rwlock_timedrdlock(l, &kNotATime));
  NOTE(A::rwlock_clockrdlock(l, CLOCK_PROCESS_CPUTIME_ID, &kLongAgo));
  NOTE(A::rwlock_clockrdlock(l, CLOCK_MONOTONIC, &kLongAgo));
  A::elsewhere([l] {
    NOTE(A::rwlock_trywrlock(l));
    NOTE(A::rwlock_tryrdlock(l));
    NOTE(A::rwlock_unlock(l));
    const timespec soon = A::in_ms(CLOCK_REALTIME, 3);
    NOTE(A::rwlock_timedwrlock(l, &soon));
    NOTE(A::rwlock_rdlock(l));  // the writer that gave up is in nobody's way
    NOTE(A::rwlock_unlock(l));
  });
  for (int i = 0; i < 4; ++i) NOTE(A::rwlock_unlock(l));
  NOTE(A::rwlock_wrlock(l));
  NOTE(A::rwlock_wrlock(l));
  NOTE(A::rwlock_rdlock(l));
  NOTE(A::rwlock_trywrlock(l));
  NOTE(A::rwlock_tryrdlock(l));
  NOTE(A::rwlock_timedrdlock(l, &kLongAgo));
  NOTE(A::rwlock_timedwrlock(l, &kLongAgo));
  NOTE(A::rwlock_timedwrlock(l, &kNegativePart));
  A::elsewhere([l] {
    NOTE(A::rwlock_tryrdlock(l));
    NOTE(A::rwlock_trywrlock(l));
    NOTE(A::rwlock_timedrdlock(l, &kLongAgo));
    const timespec soon = A::in_ms(CLOCK_MONOTONIC, 3);
    NOTE(A::rwlock_clockrdlock(l, CLOCK_MONOTONIC, &soon));
    NOTE(A::rwlock_clockwrlock(l, CLOCK_MONOTONIC, &soon));
    NOTE(A::rwlock_clockwrlock(l, CLOCK_PROCESS_CPUTIME_ID, &soon));
  });
  NOTE(A::rwlock_unlock(l));
  NOTE(A::rwlock_clockwrlock(l, CLOCK_MONOTONIC, &kLongAgo));
  NOTE(A::rwlock_unlock(l));
  NOTE(A::rwlock_destroy(l));
}

template <typename A>
void rwlocks() {
  pthread_rwlock_t fixed = PTHREAD_RWLOCK_INITIALIZER;
  pthread_rwlock_t writers = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
  rwlock_script<A>(&fixed);
  rwlock_script<A>(&writers);
  for (const int kind : {PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_RWLOCK_PREFER_WRITER_NP,
                         PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP}) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, kind);
    pthread_rwlock_t made;
    NOTE(A::rwlock_init(&made, &attributes));
    rwlock_script<A>(&made);
  }
}

// ---- the rest

template <typename A>
void semaphores() {
  sem_t s;
  int value = -1;
  NOTE(A::sem_init(&s, 0, static_cast<unsigned>(SEM_VALUE_MAX) + 1));
  NOTE(A::sem_init(&s, 0, 2));
  NOTE(A::sem_wait(&s));
  NOTE(A::sem_trywait(&s));
  NOTE(A::sem_trywait(&s));
  NOTE(A::sem_timedwait(&s, &kLongAgo));
  NOTE(A::sem_timedwait(&s, &kNotATime));
  NOTE(A::sem_clockwait(&s, CLOCK_PROCESS_CPUTIME_ID, &kLongAgo));
  const timespec soon = A::in_ms(CLOCK_REALTIME, 3);
  NOTE(A::sem_timedwait(&s, &soon));
  const timespec later = A::in_ms(CLOCK_MONOTONIC, 3);
  NOTE(A::sem_clockwait(&s, CLOCK_MONOTONIC, &later));
  NOTE(A::sem_getvalue(&s, &value));
  NOTE(value);
  A::elsewhere([&s] { NOTE(A::sem_post(&s)); });
  NOTE(A::sem_timedwait(&s, &kNotATime));  // checked even when there is no need to wait
  NOTE(A::sem_timedwait(&s, &kLongAgo));
  NOTE(A::sem_post(&s));
  NOTE(A::sem_getvalue(&s, &value));
  NOTE(value);
  NOTE(A::sem_destroy(&s));
  NOTE(A::sem_init(&s, 1, SEM_VALUE_MAX));
  NOTE(A::sem_post(&s));
  NOTE(A::sem_getvalue(&s, &value));
  NOTE(value);
}

template <typename A>
void spins_and_barriers() {
  pthread_spinlock_t spin;
  NOTE(A::spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
  NOTE(A::spin_lock(&spin));
  NOTE(A::spin_trylock(&spin));
  A::elsewhere([&spin] { NOTE(A::spin_trylock(&spin)); });
  NOTE(A::spin_unlock(&spin));
  A::elsewhere([&spin] {
    NOTE(A::spin_trylock(&spin));
    NOTE(A::spin_unlock(&spin));
  });
  NOTE(A::spin_destroy(&spin));
  pthread_barrier_t barrier;
  NOTE(A::barrier_init(&barrier, nullptr, 0));
  NOTE(A::barrier_init(&barrier, nullptr, static_cast<unsigned>(INT_MAX) + 1));
  NOTE(A::barrier_init(&barrier, nullptr, 1));
  NOTE(A::barrier_wait(&barrier));
  NOTE(A::barrier_wait(&barrier));
  NOTE(A::barrier_destroy(&barrier));
}

int g_runs = 0;

template <typename A>
void onces() {
  g_runs = 0;
  pthread_once_t control = PTHREAD_ONCE_INIT;
  NOTE(A::once(&control, [] { ++g_runs; }));
  NOTE(A::once(&control, [] { ++g_runs; }));
  A::elsewhere([&control] { NOTE(A::once(&control, [] { ++g_runs; })); });
  NOTE(g_runs);
}

void expect_equal(void (*real)(), void (*ours)()) {
  Answers& expected = shared<Answers>();
  Answers& got = shared<Answers>();
  g_answers = &expected;
  real();
  g_answers = &got;
  ASSERT_EQ(kPassed, run_replica({}, [ours] {
              sync::init();
              ours();
            }));
  ASSERT_GT(expected.count, 3);
  ASSERT_EQ(expected.count, got.count);
  for (int i = 0; i < got.count; ++i) {
    EXPECT_EQ(expected.answer[i].line, got.answer[i].line);
    EXPECT_EQ(expected.answer[i].value, got.answer[i].value) << "line " << got.answer[i].line;
  }
}
#define EXPECT_LIKE_GLIBC(script) expect_equal(script<Api<true>>, script<Api<false>>)

TEST(Posix, MutexesWithStaticInitialisers) { EXPECT_LIKE_GLIBC(static_mutexes); }
TEST(Posix, MutexesWithAttributes) { EXPECT_LIKE_GLIBC(made_mutexes); }
TEST(Posix, RobustMutexes) { EXPECT_LIKE_GLIBC(robust_mutexes); }
TEST(Posix, ConditionVariables) { EXPECT_LIKE_GLIBC(conditions); }
TEST(Posix, Rwlocks) { EXPECT_LIKE_GLIBC(rwlocks); }
TEST(Posix, Semaphores) { EXPECT_LIKE_GLIBC(semaphores); }
TEST(Posix, SpinLocksAndBarriers) { EXPECT_LIKE_GLIBC(spins_and_barriers); }
TEST(Posix, Once) { EXPECT_LIKE_GLIBC(onces); }

}  // namespace
}  // namespace evenkeel::test
