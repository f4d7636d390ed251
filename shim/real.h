#pragma once
// libc's own definitions of the interposed symbols, for processes that are not replicas.
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <threads.h>

#include <ctime>

namespace evenkeel::real {

// One slot per row of the table.
#define EVENKEEL_SYNC(name, call, params, args) \
  using name##_fn = int params;                 \
  extern name##_fn* name;
#define EVENKEEL_SEM(name, call, params, args) EVENKEEL_SYNC(name, call, params, args)
#define EVENKEEL_HOOK(name, call, params, args) EVENKEEL_SYNC(name, call, params, args)
#define EVENKEEL_FIRST(name, call, params, args) EVENKEEL_SYNC(name, call, params, args)
#define EVENKEEL_C11(result, name, params, args) \
  using name##_fn = result params;               \
  extern name##_fn* name;
#define EVENKEEL_CALL(result, name, params, args, system_call) \
  EVENKEEL_C11(result, name, params, args)
#include "shim/interposed.inc"
// Not replaced, but used.
EVENKEEL_SYNC(pthread_clockjoin_np, -,
              (pthread_t thread, void** result, clockid_t clock, const timespec* deadline), -)
#undef EVENKEEL_SYNC
#undef EVENKEEL_SEM
#undef EVENKEEL_FIRST
#undef EVENKEEL_HOOK
#undef EVENKEEL_C11
#undef EVENKEEL_CALL

// The next definition of any symbol; fatal if there is none.
void* next(const char* name);

}  // namespace evenkeel::real
