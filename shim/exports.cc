// Exported wrappers, generated from the table: the server's own process takes the virtual kernel or
// our synchronisation objects, any other process libc's definition. No logic.
#include <sys/syscall.h>

#include <cerrno>
#include <string_view>

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/order.h"
#include "runtime/sync/sync.h"
#include "shim/c11_threads.h"
#include "shim/mode.h"
#include "shim/real.h"
#include "shim/thread_hooks.h"

namespace {

// From the kernel's convention to libc's.
inline long deliver(long result) {
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}
inline int deliver_error(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

template <typename... T>
inline long forward(long number, T... args) {
  return deliver(evenkeel::kernel::call(number, args...));
}

// The way back to the application.
template <typename T>
inline T leave(T result) {
  evenkeel::sched::await_closing();
  return result;
}

// The same for functions that return nothing.
struct Leaving {
  ~Leaving() { evenkeel::sched::await_closing(); }
};

// Of functions that acquire a lock the call site is noted.
consteval bool acquires(std::string_view name) {
  return name.ends_with("lock") && !name.ends_with("unlock");
}

}  // namespace

#define EVENKEEL_EXPORT extern "C" __attribute__((visibility("default")))
#define EVENKEEL_SYNC(name, call, params, args)                                                 \
  EVENKEEL_EXPORT int name params {                                                             \
    if (!evenkeel::shim::active()) return evenkeel::real::name args;                            \
    if constexpr (acquires(#name)) {                                                            \
      evenkeel::sched::note_call_site(__builtin_return_address(0), __builtin_frame_address(0)); \
    }                                                                                           \
    return leave(evenkeel::sync::call args);                                                    \
  }
#define EVENKEEL_SEM(name, call, params, args)                       \
  EVENKEEL_EXPORT int name params {                                  \
    if (!evenkeel::shim::active()) return evenkeel::real::name args; \
    return leave(deliver_error(evenkeel::sync::call args));          \
  }
#define EVENKEEL_HOOK(name, call, params, args)                      \
  EVENKEEL_EXPORT int name params {                                  \
    if (!evenkeel::shim::active()) return evenkeel::real::name args; \
    return leave(evenkeel::shim::call args);                         \
  }
#define EVENKEEL_C11(result, name, params, args)                                                \
  EVENKEEL_EXPORT result name params {                                                          \
    if (!evenkeel::shim::active()) return evenkeel::real::name args;                            \
    if constexpr (acquires(#name)) {                                                            \
      evenkeel::sched::note_call_site(__builtin_return_address(0), __builtin_frame_address(0)); \
    }                                                                                           \
    const Leaving leaving;                                                                      \
    return evenkeel::shim::c11::name args;                                                      \
  }
#define EVENKEEL_FIRST(name, call, params, args)          \
  EVENKEEL_EXPORT int name params {                       \
    if (evenkeel::shim::active()) evenkeel::kernel::call; \
    return evenkeel::real::name args;                     \
  }
#define EVENKEEL_CALL(result, name, params, args, system_call)       \
  EVENKEEL_EXPORT result name params {                               \
    if (!evenkeel::shim::active()) return evenkeel::real::name args; \
    return leave(static_cast<result>(forward system_call));          \
  }
#include "shim/interposed.inc"
