#pragma once
// A replica becomes a copy of another one: after a leak, when replicas differ even after sequential
// re-execution, and to replace a lost replica. The other stays parked meanwhile. It gives only its
// memory to be read: whoever takes does all the work.
// Threads: the pump. Memory: static. Errors: a state that cannot be taken ends the process, without
// a word if its owner has died.
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

// What the kernel put on the initial stack: arguments, environment. Servers write titles there.
void set_initial_stack(Range range);

// The state that join() takes is not another process's, but lies in this file.
void set_stored_source(int fd);

// Waits until the primary, or whoever succeeds it, has obeyed the present command, and returns its
// index; `replica` itself if it is the primary or has become so.
[[nodiscard]] uint32_t await_source(const wire::Deck& deck, uint32_t replica);
// From now on others may read this process's memory.
void allow_reading();

// kAdopt, on every replica: returns when memory and image agree with the source's. Returns the
// token of the state.
[[nodiscard]] wire::Token adopt_state(wire::Deck& deck, uint32_t replica);
// kJoin, on the replacement.
[[nodiscard]] wire::Token join(wire::Deck& deck, uint32_t replica);

}  // namespace evenkeel::shim
