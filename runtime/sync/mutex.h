#pragma once
// What condition variables need of mutexes.
#include <pthread.h>

namespace evenkeel::sync {

// 0, or EPERM if the mutex checks its owner and the caller is not he.
[[nodiscard]] int may_unlock(const pthread_mutex_t* mutex);
// One level of it, like mutex_unlock() after may_unlock(). Kernel lock held.
void unlock_locked(pthread_mutex_t* mutex);

}  // namespace evenkeel::sync
