#pragma once
// Descriptors that stay real: special files that the server opens, and what it inherited. Reads and
// writes go to the real descriptor, in every replica, not rolled back; each use is counted.
// Threads: kernel lock held.
#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

[[nodiscard]] uint32_t passed_readiness(const Object& object);
long read_passed(Object& object, const Buffers& out, uint32_t message_flags);
long write_passed(Object& object, const Buffers& in);

// The number (1 or 2) of a kStdio object.
[[nodiscard]] int stdio_fd(const Object& object);

}  // namespace evenkeel::kernel
