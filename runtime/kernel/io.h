#pragma once
// Reading and writing of any object, blocking or not.
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {

// message_flags: MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL. Lock not held.
long read_object(Object& object, const Buffers& out, uint32_t message_flags);
long write_object(Object& object, const Buffers& in, uint32_t message_flags);

}  // namespace evenkeel::kernel
