#include "shim/c11_threads.h"

#include <pthread.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "runtime/sync/sync.h"
#include "shim/thread_hooks.h"

namespace evenkeel::shim::c11 {
namespace {

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t));
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t));
static_assert(sizeof(once_flag) == sizeof(pthread_once_t));
static_assert(sizeof(thrd_t) == sizeof(pthread_t));

pthread_mutex_t* posix(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* posix(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

int status_of(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ENOMEM:
      return thrd_nomem;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}

}  // namespace

int mtx_init(mtx_t* mutex, int type) {
  const int kind = (type & mtx_recursive) != 0 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL;
  pthread_mutexattr_t attributes{};  // glibc's holds the type in its low bits
  std::memcpy(&attributes, &kind, sizeof kind);
  return status_of(sync::mutex_init(posix(mutex), &attributes));
}

void mtx_destroy(mtx_t* mutex) {
  static_cast<void>(sync::mutex_destroy(posix(mutex)));  // no way to tell
}

int mtx_lock(mtx_t* mutex) { return status_of(sync::mutex_lock(posix(mutex))); }
int mtx_trylock(mtx_t* mutex) { return status_of(sync::mutex_trylock(posix(mutex))); }
int mtx_timedlock(mtx_t* mutex, const timespec* deadline) {
  return status_of(sync::mutex_timedlock(posix(mutex), deadline));
}
int mtx_unlock(mtx_t* mutex) { return status_of(sync::mutex_unlock(posix(mutex))); }

int cnd_init(cnd_t* condition) { return status_of(sync::cond_init(posix(condition), nullptr)); }

void cnd_destroy(cnd_t* condition) {
  static_cast<void>(sync::cond_destroy(posix(condition)));  // no way to tell
}

int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return status_of(sync::cond_wait(posix(condition), posix(mutex)));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* deadline) {
  return status_of(sync::cond_timedwait(posix(condition), posix(mutex), deadline));
}
int cnd_signal(cnd_t* condition) { return status_of(sync::cond_signal(posix(condition))); }
int cnd_broadcast(cnd_t* condition) { return status_of(sync::cond_broadcast(posix(condition))); }

void call_once(once_flag* flag, void (*routine)()) {
  static_cast<void>(sync::once(reinterpret_cast<pthread_once_t*>(flag), routine));  // cannot fail
}

int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  // On x86-64 an int comes back in the lower half of the register that a pointer comes back in,
  // and only that half is looked at: see thrd_join().
  auto* const posix_start = std::bit_cast<void* (*)(void*)>(start);
  return status_of(create_thread(thread, nullptr, posix_start, argument));
}

int thrd_join(thrd_t thread, int* result) {
  void* returned = nullptr;
  const int error = join_thread(thread, &returned);
  if (error == 0 && result != nullptr) {
    *result = static_cast<int>(reinterpret_cast<intptr_t>(returned));
  }
  return status_of(error);
}

int thrd_detach(thrd_t thread) { return status_of(detach_thread(thread)); }

}  // namespace evenkeel::shim::c11
