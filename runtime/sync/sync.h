#pragma once
// The synchronisation objects of the application: POSIX threads' own, in place in its pthread_...
// and sem_t objects (glibc 2.36, x86-64: sizes, static initialisers and attribute objects are
// glibc's). Names and signatures are POSIX's without the prefix; every function returns an error
// number, the sem_ ones too, and leaves errno alone.
//
// Each operation that decides an order between threads is an ordered operation (runtime/sched).
// Objects hold counts, owners and version words only: who waits is known to the scheduler.
//
// Threads: any application thread. Before sched::started() there is one thread, and an operation
//          that would block it for ever is fatal.
// Memory:  the objects; one small block of the kernel arena.
// Errors:  as POSIX and glibc define them. Cancellation is not acted upon in these functions.
#include <pthread.h>
#include <semaphore.h>

#include <cstdint>
#include <ctime>

#include "runtime/sched/order.h"
#include "runtime/sched/thread.h"

namespace evenkeel::sync {

// After arena::init(), before sched::start().
void init();

// By an exiting thread, before it retires: its robust mutexes go to their next owners, who get
// EOWNERDEAD.
void release_robust_mutexes();

// For sched::set_lock_probe(). Of rwlocks it says nothing: arrivals there are operations, and who
// holds one may have to wait for one that comes in vain.
[[nodiscard]] bool lock_held(sched::Tag tag, uint64_t version_word);

int mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attributes);
int mutex_destroy(pthread_mutex_t* mutex);
int mutex_lock(pthread_mutex_t* mutex);
int mutex_trylock(pthread_mutex_t* mutex);
int mutex_timedlock(pthread_mutex_t* mutex, const timespec* deadline);
int mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* deadline);
int mutex_unlock(pthread_mutex_t* mutex);
int mutex_consistent(pthread_mutex_t* mutex);

int cond_init(pthread_cond_t* cond, const pthread_condattr_t* attributes);
int cond_destroy(pthread_cond_t* cond);
int cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex);
int cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* deadline);
int cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                   const timespec* deadline);
int cond_signal(pthread_cond_t* cond);
int cond_broadcast(pthread_cond_t* cond);

int rwlock_init(pthread_rwlock_t* rwlock, const pthread_rwlockattr_t* attributes);
int rwlock_destroy(pthread_rwlock_t* rwlock);
int rwlock_rdlock(pthread_rwlock_t* rwlock);
int rwlock_tryrdlock(pthread_rwlock_t* rwlock);
int rwlock_timedrdlock(pthread_rwlock_t* rwlock, const timespec* deadline);
int rwlock_clockrdlock(pthread_rwlock_t* rwlock, clockid_t clock, const timespec* deadline);
int rwlock_wrlock(pthread_rwlock_t* rwlock);
int rwlock_trywrlock(pthread_rwlock_t* rwlock);
int rwlock_timedwrlock(pthread_rwlock_t* rwlock, const timespec* deadline);
int rwlock_clockwrlock(pthread_rwlock_t* rwlock, clockid_t clock, const timespec* deadline);
int rwlock_unlock(pthread_rwlock_t* rwlock);

int spin_init(pthread_spinlock_t* spin, int shared);
int spin_destroy(pthread_spinlock_t* spin);
int spin_lock(pthread_spinlock_t* spin);
int spin_trylock(pthread_spinlock_t* spin);
int spin_unlock(pthread_spinlock_t* spin);

int sem_init(sem_t* semaphore, int shared, unsigned value);
int sem_destroy(sem_t* semaphore);
int sem_wait(sem_t* semaphore);
int sem_trywait(sem_t* semaphore);
int sem_timedwait(sem_t* semaphore, const timespec* deadline);
int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* deadline);
int sem_post(sem_t* semaphore);
int sem_getvalue(sem_t* semaphore, int* value);

int barrier_init(pthread_barrier_t* barrier, const pthread_barrierattr_t* attributes,
                 unsigned count);
int barrier_destroy(pthread_barrier_t* barrier);
// PTHREAD_BARRIER_SERIAL_THREAD for the last to arrive, else 0.
int barrier_wait(pthread_barrier_t* barrier);

// An exception that leaves `routine` leaves the object "running": the same thread's next call runs
// `routine` again, as POSIX wants; other threads wait until somebody completes it.
int once(pthread_once_t* control, void (*routine)());

int set_name(pthread_t thread, const char* name);

}  // namespace evenkeel::sync
