#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/sync/section.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

using sched::Tag;

// In place in sem_t. A post with waiters goes to the first of them and leaves the value zero.
struct Semaphore {
  uint32_t value;
  uint32_t version;
  uint64_t zero[3];
};
static_assert(sizeof(Semaphore) == sizeof(sem_t));

Semaphore& at(sem_t* semaphore) { return *reinterpret_cast<Semaphore*>(semaphore); }
uint64_t key_of(const Semaphore& semaphore) { return reinterpret_cast<uint64_t>(&semaphore); }

int acquire(Semaphore& semaphore, Deadline deadline) {
  for (;;) {
    Section section(semaphore.version, Tag::kSemaphore);
    if (semaphore.value != 0) {
      --semaphore.value;
      return 0;
    }
    if (!deadline.may_wait()) return refuse(section, deadline.error);
    const sched::Wake wake =
        section.park(wire::WaitKind::kSemaphore, "semaphore", key_of(semaphore), deadline);
    if (wake == sched::Wake::kWoken) return 0;
    if (wake == sched::Wake::kTimeout) return ETIMEDOUT;
  }
}

}  // namespace

int sem_init(sem_t* semaphore, int, unsigned value) {
  if (value > SEM_VALUE_MAX) return EINVAL;
  std::memset(semaphore, 0, sizeof *semaphore);
  at(semaphore).value = value;
  return 0;
}

int sem_destroy(sem_t*) { return 0; }

int sem_wait(sem_t* semaphore) { return acquire(at(semaphore), kForEver); }

int sem_trywait(sem_t* semaphore) { return acquire(at(semaphore), try_only(EAGAIN)); }

int sem_timedwait(sem_t* semaphore, const timespec* deadline) {
  return sync::sem_clockwait(semaphore, CLOCK_REALTIME, deadline);
}

int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* deadline) {
  if (!supported_clock(clock) || !valid_time(*deadline)) return EINVAL;
  return acquire(at(semaphore), deadline_at(clock, *deadline));
}

int sem_post(sem_t* semaphore) {
  Semaphore& s = at(semaphore);
  Section section(s.version, Tag::kSemaphore);
  if (s.value == SEM_VALUE_MAX) return EOVERFLOW;
  if (!sched::started() || sched::wake(key_of(s), 1) == 0) ++s.value;
  return 0;
}

int sem_getvalue(sem_t* semaphore, int* value) {
  Semaphore& s = at(semaphore);
  Section section(s.version, Tag::kSemaphore);
  *value = static_cast<int>(s.value);
  return 0;
}

}  // namespace evenkeel::sync
