#pragma once
// From call numbers to handlers. Every handler has the same shape and is named sys_<call>; its row
// stands in table.inc.
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {

enum class Treatment : uint8_t { kUnknown = 0, kHandled, kPassed, kRefused };

#define EVENKEEL_SYSCALL(name, treatment) long sys_##name(const Call& call);
#include "runtime/kernel/table.inc"
#undef EVENKEEL_SYSCALL

[[nodiscard]] Treatment treatment_of(long number);

}  // namespace evenkeel::kernel
