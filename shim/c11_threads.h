#pragma once
// The threads of ISO C11, in terms of the POSIX ones: glibc's own call POSIX functions inside libc,
// past every symbol of ours. glibc gives mtx_t, cnd_t, once_flag and thrd_t the layout of their
// pthread_ counterparts (nptl, since 2.28), so objects that libc has initialised statically fit.
//
// Threads: any application thread. Memory: none. Errors: those of <threads.h>.
#include <threads.h>

#include <ctime>

namespace evenkeel::shim::c11 {

int mtx_init(mtx_t* mutex, int type);
void mtx_destroy(mtx_t* mutex);
int mtx_lock(mtx_t* mutex);
int mtx_trylock(mtx_t* mutex);
int mtx_timedlock(mtx_t* mutex, const timespec* deadline);
int mtx_unlock(mtx_t* mutex);
int cnd_init(cnd_t* condition);
void cnd_destroy(cnd_t* condition);
int cnd_wait(cnd_t* condition, mtx_t* mutex);
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* deadline);
int cnd_signal(cnd_t* condition);
int cnd_broadcast(cnd_t* condition);
void call_once(once_flag* flag, void (*routine)());
int thrd_create(thrd_t* thread, thrd_start_t start, void* argument);
int thrd_join(thrd_t thread, int* result);
int thrd_detach(thrd_t thread);

}  // namespace evenkeel::shim::c11
