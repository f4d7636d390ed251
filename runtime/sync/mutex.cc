#include "runtime/sync/mutex.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/sync/exclusive.h"
#include "runtime/sync/owners.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

// glibc's __kind: bits 0-1 the type, bit 4 robust; protocols (32, 64), sharing (128) and elision
// (256, 512) change nothing here. -1: destroyed.
constexpr int kTypeMask = 3;
constexpr int kRobust = 16;
constexpr int kDestroyed = -1;

enum class Health : uint32_t {
  kConsistent = 0,
  kOwnerDied,       // its next owner gets EOWNERDEAD
  kInconsistent,    // he has it and has not called mutex_consistent()
  kNotRecoverable,  // he unlocked it like that
};

// In place in pthread_mutex_t. Unlocked, all is zero but version, kind and perhaps health.
struct Mutex {
  static constexpr auto kTag = sched::Tag::kMutex;
  static constexpr auto kWait = wire::WaitKind::kMutex;

  std::atomic<uint32_t> state;
  uint32_t depth;               // beyond 1, of a recursive mutex; the owner's
  std::atomic<uint32_t> owner;  // relaxed: one compares it only with one's own number
  uint32_t version_word;
  int kind;
  Health health;  // robust mutexes only; the owner's
  // Chain of the robust mutexes a thread holds, from Thread::robust_held; the owner's.
  Mutex* previous_held;
  Mutex* next_held;

  uint32_t& version() { return version_word; }
  void passed() { sched::passed(version_word, kTag); }
  bool take() {
    uint32_t expected = 0;
    // acquire: pairs with the release in release(); sees the critical sections before.
    return state.load(std::memory_order_relaxed) == 0 &&
           state.compare_exchange_strong(expected, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  [[nodiscard]] bool contended() const { return state.load(std::memory_order_relaxed) == 2; }
  bool mark() {
    for (;;) {
      uint32_t seen = state.load(std::memory_order_relaxed);
      if (seen == 2) return true;
      if (seen == 0) {
        if (take()) return false;
      } else if (state.compare_exchange_strong(seen, 2, std::memory_order_relaxed)) {
        return true;
      }
    }
  }
  void uncontend() { state.store(1, std::memory_order_relaxed); }
  bool release() {
    uint32_t expected = 1;
    // release: pairs with the acquire in take().
    return state.compare_exchange_strong(expected, 0, std::memory_order_release,
                                         std::memory_order_relaxed) ||
           expected == 0;  // unlocking what is not locked: no effect, as in glibc
  }
  void assign(bool waiters) { state.store(waiters ? 2 : 1, std::memory_order_relaxed); }
  void set_owner(uint32_t number) { owner.store(number, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t key() const { return reinterpret_cast<uint64_t>(this); }

  [[nodiscard]] int type() const { return kind & kTypeMask; }
  [[nodiscard]] bool robust() const { return (kind & kRobust) != 0; }
  [[nodiscard]] bool mine() const { return owner.load(std::memory_order_relaxed) == self_number(); }
};
static_assert(sizeof(Mutex) == sizeof(pthread_mutex_t));
static_assert(offsetof(Mutex, kind) == offsetof(pthread_mutex_t, __data.__kind));
static_assert(offsetof(Mutex, version_word) == offsetof(pthread_mutex_t, __data.__nusers));

Mutex& at(pthread_mutex_t* mutex) { return *reinterpret_cast<Mutex*>(mutex); }
const Mutex& at(const pthread_mutex_t* mutex) { return *reinterpret_cast<const Mutex*>(mutex); }

bool plain(const Mutex& mutex) {
  return (mutex.kind & (kTypeMask | kRobust)) == PTHREAD_MUTEX_TIMED_NP ||
         (mutex.kind & (kTypeMask | kRobust)) == PTHREAD_MUTEX_ADAPTIVE_NP;
}

// ---- robust

// Robust mutexes exist only for threads: before there are any, nobody can die holding one.
Mutex* held_by(const sched::Thread& thread) { return reinterpret_cast<Mutex*>(thread.robust_held); }

void chain(Mutex& mutex) {
  if (!sched::started()) return;
  sched::Thread& me = sched::self();
  mutex.previous_held = nullptr;
  mutex.next_held = held_by(me);
  if (mutex.next_held != nullptr) mutex.next_held->previous_held = &mutex;
  me.robust_held = mutex.key();
}

void unchain(Mutex& mutex) {
  Mutex* next = mutex.next_held;
  Mutex* previous = mutex.previous_held;
  if (next != nullptr) next->previous_held = previous;
  if (previous != nullptr) {
    previous->next_held = next;
  } else if (sched::started() && held_by(sched::self()) == &mutex) {
    sched::self().robust_held = reinterpret_cast<uint64_t>(next);
  }
  mutex.next_held = mutex.previous_held = nullptr;
}

int took_robust(Mutex& mutex) {
  if (mutex.health == Health::kNotRecoverable) {
    mutex.set_owner(0);
    give_back(mutex);
    return ENOTRECOVERABLE;
  }
  chain(mutex);
  if (mutex.health == Health::kConsistent) return 0;
  mutex.health = Health::kInconsistent;
  return EOWNERDEAD;
}

void leave_robust(Mutex& mutex) {
  unchain(mutex);
  if (mutex.health == Health::kInconsistent) mutex.health = Health::kNotRecoverable;
}

// ---- locking

int acquire_kind(Mutex& mutex, Deadline deadline) {
  const int result = acquire(mutex, deadline);
  return result == 0 && mutex.robust() ? took_robust(mutex) : result;
}

// The caller has it already: nothing that other threads could see, so not an ordered operation.
int relock(Mutex& mutex) {
  if (mutex.depth == UINT32_MAX) return EAGAIN;
  ++mutex.depth;
  return 0;
}

[[gnu::noinline]] int lock_kind(Mutex& mutex, Deadline deadline, int error_if_mine) {
  if (mutex.kind == kDestroyed) return EINVAL;
  if (mutex.mine()) {
    if (mutex.type() == PTHREAD_MUTEX_RECURSIVE_NP) return relock(mutex);
    if (mutex.type() == PTHREAD_MUTEX_ERRORCHECK_NP) return error_if_mine;
  }
  return acquire_kind(mutex, deadline);
}

int lock_until(pthread_mutex_t* mutex, Deadline deadline, int error_if_mine) {
  Mutex& m = at(mutex);
  if (plain(m)) [[likely]]
    return acquire(m, deadline);
  return lock_kind(m, deadline, error_if_mine);
}

// True if the caller's last level is to be given up.
bool leave(Mutex& mutex) {
  if (mutex.depth != 0) {
    --mutex.depth;
    return false;
  }
  if (mutex.robust()) leave_robust(mutex);
  mutex.set_owner(0);
  return true;
}

}  // namespace

bool mutex_held(uint64_t version_word) {
  const auto& mutex = *reinterpret_cast<const Mutex*>(version_word - offsetof(Mutex, version_word));
  return mutex.state.load(std::memory_order_relaxed) != 0;
}

uint32_t mutex_owner(uint64_t key) {
  return reinterpret_cast<const Mutex*>(key)->owner.load(std::memory_order_relaxed);
}

int may_unlock(const pthread_mutex_t* mutex) {
  const Mutex& m = at(mutex);
  if (plain(m)) return 0;
  if (m.kind == kDestroyed) return EINVAL;
  return m.mine() ? 0 : EPERM;
}

void unlock_locked(pthread_mutex_t* mutex) {
  Mutex& m = at(mutex);
  if (!leave(m)) return;
  sched::gives_lock(m.version());
  if (!m.release()) hand_over(m);
}

int mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attributes) {
  // glibc's pthread_mutexattr_t: the type in the low bits, bit 30 robust; the rest (sharing,
  // protocol, ceiling) changes nothing here.
  constexpr uint32_t kAttributeRobust = 1U << 30;
  uint32_t bits = 0;
  if (attributes != nullptr) std::memcpy(&bits, attributes, sizeof bits);
  std::memset(mutex, 0, sizeof *mutex);
  at(mutex).kind = static_cast<int>(bits & kTypeMask) | ((bits & kAttributeRobust) ? kRobust : 0);
  return 0;
}

int mutex_destroy(pthread_mutex_t* mutex) {
  Mutex& m = at(mutex);
  if (!m.robust() && m.state.load(std::memory_order_relaxed) != 0) return EBUSY;
  m.kind = kDestroyed;
  return 0;
}

int mutex_lock(pthread_mutex_t* mutex) { return lock_until(mutex, kForEver, EDEADLK); }

int mutex_trylock(pthread_mutex_t* mutex) { return lock_until(mutex, try_only(EBUSY), EBUSY); }

int mutex_timedlock(pthread_mutex_t* mutex, const timespec* deadline) {
  return lock_until(mutex, deadline_at(CLOCK_REALTIME, *deadline), EDEADLK);
}

int mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* deadline) {
  if (!supported_clock(clock)) return EINVAL;
  return lock_until(mutex, deadline_at(clock, *deadline), EDEADLK);
}

int mutex_unlock(pthread_mutex_t* mutex) {
  Mutex& m = at(mutex);
  if (plain(m)) [[likely]] {
    m.set_owner(0);
    give_back(m);
    return 0;
  }
  if (const int error = may_unlock(mutex)) return error;
  if (leave(m)) give_back(m);
  return 0;
}

int mutex_consistent(pthread_mutex_t* mutex) {
  Mutex& m = at(mutex);
  if (!m.robust() || m.health != Health::kInconsistent) return EINVAL;
  m.health = Health::kConsistent;
  return 0;
}

void release_robust_mutexes() {
  while (Mutex* mutex = held_by(sched::self())) {
    unchain(*mutex);
    mutex->health = Health::kOwnerDied;
    mutex->depth = 0;
    mutex->set_owner(0);
    give_back(*mutex);
  }
}

}  // namespace evenkeel::sync
