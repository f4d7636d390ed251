#pragma once
// Saved execution contexts. A suspended thread is a stack pointer: its callee-saved registers,
// mxcsr and x87 control word lie on its own stack, which is tracked memory, so restoring memory
// restores program counters with it.
#include <cstdint>

namespace evenkeel::sched {

extern "C" {
// Saves the caller's context on its stack, stores the stack pointer to *save_sp, continues at
// load_sp. Returns when somebody switches back.
[[gnu::visibility("hidden")]] void evenkeel_context_switch(void** save_sp, void* load_sp);
}

// Registers that a freshly cloned thread must find when its clone() returns 0 in the child.
struct ChildRegisters {
  uint64_t rbx, rbp, r12, r13, r14, r15;
  uint64_t rdi, rsi, rdx, r8, r9, r10;
  uint64_t rip;
};

// Builds a context that continues at registers.rip with rax = 0 and the stack pointer `stack`.
// Returns the stack pointer to switch to.
[[nodiscard]] void* make_child_context(uint64_t stack, const ChildRegisters& registers);

// Builds a context that calls entry(argument) on a fresh stack; entry never returns.
[[nodiscard]] void* make_call_context(uint64_t stack_top, void (*entry)(void*), void* argument);

// Thread pointers. fs belongs to the application thread, gs to the carrier.
// use_fsgsbase: the CPU and kernel allow the instructions (AT_HWCAP2 bit 1); else arch_prctl.
void init_thread_pointers(bool use_fsgsbase);
void set_fs_base(uint64_t base);
[[nodiscard]] uint64_t fs_base();
void set_gs_base(uint64_t base);

}  // namespace evenkeel::sched
