#include "shim/real.h"

#include <dlfcn.h>

#include "runtime/core/check.h"

namespace evenkeel::real {

void* next(const char* name) {
  void* symbol = dlsym(RTLD_NEXT, name);
  if (symbol == nullptr) die(__FILE__, __LINE__, "no next definition", "symbol", name, 0);
  return symbol;
}

// A library's constructor can call before ours ran, so each slot starts at a thunk that resolves
// itself and then forwards.
#define EVENKEEL_SLOT(result, name, params, args)     \
  static result boot_##name params {                  \
    name = reinterpret_cast<name##_fn*>(next(#name)); \
    return name args;                                 \
  }                                                   \
  constinit name##_fn* name = boot_##name;
#define EVENKEEL_SYNC(name, call, params, args) EVENKEEL_SLOT(int, name, params, args)
#define EVENKEEL_SEM(name, call, params, args) EVENKEEL_SLOT(int, name, params, args)
#define EVENKEEL_HOOK(name, call, params, args) EVENKEEL_SLOT(int, name, params, args)
#define EVENKEEL_FIRST(name, call, params, args) EVENKEEL_SLOT(int, name, params, args)
#define EVENKEEL_C11(result, name, params, args) EVENKEEL_SLOT(result, name, params, args)
#define EVENKEEL_CALL(result, name, params, args, system_call) \
  EVENKEEL_SLOT(result, name, params, args)
#include "shim/interposed.inc"
EVENKEEL_SLOT(int, pthread_clockjoin_np,
              (pthread_t thread, void** result, clockid_t clock, const timespec* deadline),
              (thread, result, clock, deadline))

}  // namespace evenkeel::real
