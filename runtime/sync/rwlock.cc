#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/sched/acquisitions.h"
#include "runtime/sync/owners.h"
#include "runtime/sync/section.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {
namespace {

using sched::Tag;

// In place in pthread_rwlock_t. All under the kernel lock. Unlocked, all is zero but version and
// kind.
struct Rwlock {
  uint32_t readers;
  uint32_t writer;  // owner number
  uint32_t version;
  uint32_t zero[9];
  uint32_t kind;  // glibc's __flags
  uint32_t zero_too;
};
static_assert(sizeof(Rwlock) == sizeof(pthread_rwlock_t));
static_assert(offsetof(Rwlock, kind) == offsetof(pthread_rwlock_t, __data.__flags));

enum class Access { kRead, kWrite };

Rwlock& at(pthread_rwlock_t* rwlock) { return *reinterpret_cast<Rwlock*>(rwlock); }

uint64_t address_of(const Rwlock& lock) { return reinterpret_cast<uint64_t>(&lock); }

// Readers and writers wait on keys of their own.
uint64_t key_of(const Rwlock& lock, Access access) {
  return reinterpret_cast<uint64_t>(access == Access::kRead ? &lock.readers : &lock.writer);
}

// The waiting functions of the scheduler, for code that also runs before there are threads.
bool anybody_waits(const Rwlock& lock, Access access) {
  return sched::started() && sched::first_waiter(key_of(lock, access)) != nullptr;
}

// As in glibc, PTHREAD_RWLOCK_PREFER_WRITER_NP alone does not: a thread may hold several read
// locks.
bool prefers_writers(const Rwlock& lock) {
  return lock.kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

bool available(const Rwlock& lock, Access access) {
  if (lock.writer != 0) return false;
  if (access == Access::kWrite) return lock.readers == 0;
  return !prefers_writers(lock) || !anybody_waits(lock, Access::kWrite);
}

void take(Rwlock& lock, Access access, uint32_t number) {
  if (access == Access::kWrite) {
    lock.writer = number;
  } else {
    ++lock.readers;
  }
}

void grant_readers(Rwlock& lock) {
  lock.readers += sched::wake(key_of(lock, Access::kRead), UINT32_MAX);
}

void grant_writer(Rwlock& lock) {
  sched::Thread* next = sched::first_waiter(key_of(lock, Access::kWrite));
  lock.writer = number_of(*next);
  sched::wake_thread(*next, sched::Wake::kWoken);
}

// Something became free, or a waiting writer left.
void grant(Rwlock& lock) {
  if (lock.writer != 0) return;
  const bool writers = anybody_waits(lock, Access::kWrite);
  if (anybody_waits(lock, Access::kRead) && !(writers && prefers_writers(lock))) {
    grant_readers(lock);
  } else if (writers && lock.readers == 0) {
    grant_writer(lock);
  }
}

int acquire(Rwlock& lock, Access access, Deadline deadline) {
  for (;;) {
    Section section(lock.version, Tag::kRwlock);
    if (available(lock, access)) {
      take(lock, access, self_number());
      sched::acquired(lock.version, access == Access::kRead);
      sched::took_lock(lock.version);
      if (access == Access::kRead) note_held(address_of(lock));
      return 0;
    }
    const bool only_tries = deadline.error == EBUSY;
    if (!only_tries && lock.writer == self_number()) return EDEADLK;
    if (!deadline.may_wait()) return refuse(section, deadline.error);
    const bool reads = access == Access::kRead;
    const sched::Wake wake = section.park(reads ? wire::WaitKind::kRead : wire::WaitKind::kWrite,
                                          "rwlock", key_of(lock, access), deadline);
    if (wake == sched::Wake::kWoken) {       // whoever made it free has granted it
      sched::acquired(lock.version, reads);  // nobody in conflict came since
      sched::took_lock(lock.version);
      if (reads) note_held(address_of(lock));
      return 0;
    }
    if (wake == sched::Wake::kTimeout) {
      Section leaving(lock.version, Tag::kRwlock);
      grant(lock);  // readers may have waited only because this writer did
      return ETIMEDOUT;
    }
  }
}

int acquire(pthread_rwlock_t* rwlock, Access access, clockid_t clock, const timespec* deadline) {
  if (!supported_clock(clock) || !valid_time(*deadline)) return EINVAL;
  return acquire(at(rwlock), access, deadline_at(clock, *deadline));
}

}  // namespace

RwlockOwners rwlock_owners(uint64_t key, wire::WaitKind kind) {
  const uint64_t offset = kind == wire::WaitKind::kRead ? 0 : offsetof(Rwlock, writer);
  const Rwlock& lock = *reinterpret_cast<const Rwlock*>(key - offset);
  return {address_of(lock), lock.writer, lock.readers, key_of(lock, Access::kWrite)};
}

int rwlock_init(pthread_rwlock_t* rwlock, const pthread_rwlockattr_t* attributes) {
  // glibc's pthread_rwlockattr_t: the kind, then sharing between processes.
  uint32_t kind = 0;
  if (attributes != nullptr) std::memcpy(&kind, attributes, sizeof kind);
  std::memset(rwlock, 0, sizeof *rwlock);
  at(rwlock).kind = kind;
  return 0;
}

int rwlock_destroy(pthread_rwlock_t*) { return 0; }

int rwlock_rdlock(pthread_rwlock_t* rwlock) { return acquire(at(rwlock), Access::kRead, kForEver); }

int rwlock_tryrdlock(pthread_rwlock_t* rwlock) {
  return acquire(at(rwlock), Access::kRead, try_only(EBUSY));
}

int rwlock_timedrdlock(pthread_rwlock_t* rwlock, const timespec* deadline) {
  return acquire(rwlock, Access::kRead, CLOCK_REALTIME, deadline);
}

int rwlock_clockrdlock(pthread_rwlock_t* rwlock, clockid_t clock, const timespec* deadline) {
  return acquire(rwlock, Access::kRead, clock, deadline);
}

int rwlock_wrlock(pthread_rwlock_t* rwlock) {
  return acquire(at(rwlock), Access::kWrite, kForEver);
}

int rwlock_trywrlock(pthread_rwlock_t* rwlock) {
  return acquire(at(rwlock), Access::kWrite, try_only(EBUSY));
}

int rwlock_timedwrlock(pthread_rwlock_t* rwlock, const timespec* deadline) {
  return acquire(rwlock, Access::kWrite, CLOCK_REALTIME, deadline);
}

int rwlock_clockwrlock(pthread_rwlock_t* rwlock, clockid_t clock, const timespec* deadline) {
  return acquire(rwlock, Access::kWrite, clock, deadline);
}

int rwlock_unlock(pthread_rwlock_t* rwlock) {
  Rwlock& lock = at(rwlock);
  Section section(lock.version, Tag::kRwlock);
  if (lock.writer == self_number()) {
    lock.writer = 0;
  } else if (lock.writer == 0 && lock.readers != 0) {
    --lock.readers;
    forget_held(address_of(lock));
  } else {
    return EPERM;  // not locked, or not by the caller: undefined in POSIX, no effect here
  }
  sched::gives_lock(lock.version);
  grant(lock);
  return 0;
}

}  // namespace evenkeel::sync
