#pragma once
#include <cstdint>

namespace evenkeel::kernel {

void init_futexes();
long futex_wake_address(uint64_t address, uint32_t count);  // lock not held
// Takes the lock in this operation's turn among the operations on that futex word.
void lock_futex(uint64_t address);

}  // namespace evenkeel::kernel
