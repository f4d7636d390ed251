#include <atomic>
#include <cerrno>

#include "runtime/sync/exclusive.h"
#include "runtime/sync/owners.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

// In place in pthread_spinlock_t, which has room for one word: the state in the top 8 bits, the
// version in the 24 bits that count in the order log.
struct Spin {
  static constexpr auto kTag = sched::Tag::kSpin;
  static constexpr auto kWait = wire::WaitKind::kSpin;
  static constexpr uint32_t kState = 1 << 24;
  static constexpr uint32_t kVersion = kState - 1;

  uint32_t word;

  [[nodiscard]] std::atomic_ref<uint32_t> atomic() { return std::atomic_ref(word); }
  uint32_t& version() { return word; }
  // The version competes with mark(), so it moves by compare-exchange too; seq_cst as passed_at()
  // asks.
  void passed() {
    if (sched::versions_stand_still()) return;
    uint32_t seen = atomic().load(std::memory_order_relaxed);
    uint32_t next = 0;
    do {
      next = (seen & ~kVersion) | ((seen + 1) & kVersion);
    } while (!atomic().compare_exchange_weak(seen, next));
    sched::passed_at(word, seen, kTag);
  }
  // `from` -> `to` without touching the version; false if the state is not `from`.
  bool change(uint32_t from, uint32_t to, std::memory_order order) {
    uint32_t seen = atomic().load(std::memory_order_relaxed);
    while (seen / kState == from) {
      const uint32_t next = (seen & kVersion) | to * kState;
      if (atomic().compare_exchange_weak(seen, next, order, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // acquire: pairs with the release in release().
  bool take() { return change(0, 1, std::memory_order_acquire); }
  [[nodiscard]] bool contended() { return atomic().load(std::memory_order_relaxed) / kState == 2; }
  bool mark() {
    for (;;) {
      if (contended() || change(1, 2, std::memory_order_relaxed)) return true;
      if (take()) return false;
    }
  }
  void uncontend() { change(2, 1, std::memory_order_relaxed); }
  // release: pairs with the acquire in take(). Unlocking what is not locked has no effect.
  bool release() { return change(1, 0, std::memory_order_release) || !contended(); }
  void assign(bool waiters) {
    if (!waiters) uncontend();
  }
  void set_owner(uint32_t) {}
  [[nodiscard]] uint64_t key() const { return reinterpret_cast<uint64_t>(this); }
};
static_assert(sizeof(Spin) == sizeof(pthread_spinlock_t));

Spin& at(pthread_spinlock_t* spin) {
  return *reinterpret_cast<Spin*>(const_cast<int*>(spin));  // atomic() sees to what volatile meant
}

int acquire_and_note(Spin& spin, Deadline deadline) {
  const int error = acquire(spin, deadline);
  if (error == 0) note_held(spin.key());
  return error;
}

}  // namespace

bool spin_held(uint64_t version_word) {
  const auto* word = reinterpret_cast<const uint32_t*>(version_word);
  return __atomic_load_n(word, __ATOMIC_RELAXED) / Spin::kState != 0;
}

int spin_init(pthread_spinlock_t* spin, int) {
  at(spin).word = 0;
  return 0;
}

int spin_destroy(pthread_spinlock_t*) { return 0; }
int spin_lock(pthread_spinlock_t* spin) { return acquire_and_note(at(spin), kForEver); }
int spin_trylock(pthread_spinlock_t* spin) { return acquire_and_note(at(spin), try_only(EBUSY)); }

int spin_unlock(pthread_spinlock_t* spin) {
  forget_held(at(spin).key());
  give_back(at(spin));
  return 0;
}

}  // namespace evenkeel::sync
