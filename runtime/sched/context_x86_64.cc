#include <asm/prctl.h>

#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/sched/context.h"

// The saved frame, from the stack pointer up:
//   mxcsr, x87 control word (4 + 4), r15, r14, r13, r12, rbx, rbp, return address
asm(R"(
.text
.p2align 4
.globl evenkeel_context_switch
.hidden evenkeel_context_switch
.type evenkeel_context_switch, @function
evenkeel_context_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  sub $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  add $8, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size evenkeel_context_switch, .-evenkeel_context_switch

.globl evenkeel_child_entry
.hidden evenkeel_child_entry
.type evenkeel_child_entry, @function
evenkeel_child_entry:
  pop %rdi
  pop %rsi
  pop %rdx
  pop %r8
  pop %r9
  pop %r10
  pop %rcx
  xor %eax, %eax
  jmp *%rcx
.size evenkeel_child_entry, .-evenkeel_child_entry

.globl evenkeel_call_entry
.hidden evenkeel_call_entry
.type evenkeel_call_entry, @function
evenkeel_call_entry:
  mov %r12, %rdi
  xor %ebp, %ebp
  call *%rbx
  ud2
.size evenkeel_call_entry, .-evenkeel_call_entry
)");

extern "C" {
void evenkeel_child_entry();
void evenkeel_call_entry();
}

namespace evenkeel::sched {
namespace {

constinit bool g_fsgsbase = false;

struct SwitchFrame {
  uint32_t mxcsr;
  uint32_t x87_control;
  uint64_t r15, r14, r13, r12, rbx, rbp;
  uint64_t return_address;
};

SwitchFrame frame_with_current_fp() {
  SwitchFrame frame{};
  asm volatile("stmxcsr %0" : "=m"(frame.mxcsr));
  asm volatile("fnstcw %0" : "=m"(frame.x87_control));
  return frame;
}

struct ChildFrame {
  SwitchFrame saved;
  uint64_t rdi, rsi, rdx, r8, r9, r10, rip;
};

}  // namespace

void* make_child_context(uint64_t stack, const ChildRegisters& registers) {
  ChildFrame frame{};
  frame.saved = frame_with_current_fp();
  frame.saved.rbx = registers.rbx;
  frame.saved.rbp = registers.rbp;
  frame.saved.r12 = registers.r12;
  frame.saved.r13 = registers.r13;
  frame.saved.r14 = registers.r14;
  frame.saved.r15 = registers.r15;
  frame.saved.return_address = reinterpret_cast<uint64_t>(&evenkeel_child_entry);
  frame.rdi = registers.rdi;
  frame.rsi = registers.rsi;
  frame.rdx = registers.rdx;
  frame.r8 = registers.r8;
  frame.r9 = registers.r9;
  frame.r10 = registers.r10;
  frame.rip = registers.rip;
  auto* sp = reinterpret_cast<void*>(stack - sizeof frame);
  std::memcpy(sp, &frame, sizeof frame);
  return sp;
}

void* make_call_context(uint64_t stack_top, void (*entry)(void*), void* argument) {
  SwitchFrame frame = frame_with_current_fp();
  frame.rbx = reinterpret_cast<uint64_t>(entry);
  frame.r12 = reinterpret_cast<uint64_t>(argument);
  frame.return_address = reinterpret_cast<uint64_t>(&evenkeel_call_entry);
  auto* sp = reinterpret_cast<void*>((stack_top & ~uint64_t{15}) - sizeof frame);
  std::memcpy(sp, &frame, sizeof frame);
  return sp;
}

void init_thread_pointers(bool use_fsgsbase) { g_fsgsbase = use_fsgsbase; }

void set_fs_base(uint64_t base) {
  if (g_fsgsbase) {
    asm volatile("wrfsbase %0" ::"r"(base) : "memory");
  } else {
    sys::call(SYS_arch_prctl, ARCH_SET_FS, static_cast<long>(base)).ignore();  // cannot fail
  }
}

uint64_t fs_base() {
  uint64_t base = 0;
  if (g_fsgsbase) {
    asm volatile("rdfsbase %0" : "=r"(base));
  } else {
    sys::call(SYS_arch_prctl, ARCH_GET_FS, sys::arg(&base)).ignore();
  }
  return base;
}

void set_gs_base(uint64_t base) {
  if (g_fsgsbase) {
    asm volatile("wrgsbase %0" ::"r"(base) : "memory");
  } else {
    sys::call(SYS_arch_prctl, ARCH_SET_GS, static_cast<long>(base)).ignore();
  }
}

}  // namespace evenkeel::sched
