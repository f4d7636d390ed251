#pragma once
// Blocking in the virtual kernel.
#include <cstdint>

#include "runtime/kernel/object.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {

enum class Waited : uint32_t {
  kAgain,  // woken: look again
  kTimeout,
  kInterrupted,  // a signal handler ran and the call is not to be restarted: -EINTR
};

// Lock held on entry, not on return. Parks the calling thread on `key`; runs signal handlers that
// became due. `restartable`: SA_RESTART handlers make it kAgain instead of kInterrupted.
// `kind`: what the key is, if only other threads of the server can end the wait.
Waited wait_on(uint64_t key, uint64_t deadline_ns, bool restartable,
               wire::WaitKind kind = wire::WaitKind::kOther);

// CLOCK_MONOTONIC deadline of a relative timeout; saturates at kNoDeadline.
[[nodiscard]] uint64_t deadline_after(uint64_t timeout_ns);

}  // namespace evenkeel::kernel
