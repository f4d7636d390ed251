#pragma once
#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

// For ends made by socketpair() (ObjectType::kPair). Lock held.
long shutdown_pair(Object& object, int how);
// Unread bytes of a pipe's read end or a pair's end: FIONREAD. Lock held.
[[nodiscard]] uint32_t bytes_waiting(const Object& object);

}  // namespace evenkeel::kernel
