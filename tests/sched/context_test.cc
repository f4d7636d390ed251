#include "runtime/sched/context.h"

#include <gtest/gtest.h>

#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "tests/sched/replica.h"

// uint64_t keeps_registers(uint64_t seed, void (*call)()): fills the callee-saved registers from
// the seed, calls, and returns a mask of those that differ afterwards.
asm(R"(
.text
.globl keeps_registers
.type keeps_registers, @function
keeps_registers:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rdi
  lea 1(%rdi), %rbx
  lea 2(%rdi), %rbp
  lea 3(%rdi), %r12
  lea 4(%rdi), %r13
  lea 5(%rdi), %r14
  lea 6(%rdi), %r15
  call *%rsi
  pop %rdi
  xor %eax, %eax
  lea 1(%rdi), %rcx
  cmp %rcx, %rbx
  setne %al
  lea 2(%rdi), %rcx
  xor %edx, %edx
  cmp %rcx, %rbp
  setne %dl
  lea (%rdx,%rax,2), %rax
  lea 3(%rdi), %rcx
  xor %edx, %edx
  cmp %rcx, %r12
  setne %dl
  lea (%rdx,%rax,2), %rax
  lea 4(%rdi), %rcx
  xor %edx, %edx
  cmp %rcx, %r13
  setne %dl
  lea (%rdx,%rax,2), %rax
  lea 5(%rdi), %rcx
  xor %edx, %edx
  cmp %rcx, %r14
  setne %dl
  lea (%rdx,%rax,2), %rax
  lea 6(%rdi), %rcx
  xor %edx, %edx
  cmp %rcx, %r15
  setne %dl
  lea (%rdx,%rax,2), %rax
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
.size keeps_registers, .-keeps_registers
)");
extern "C" uint64_t keeps_registers(uint64_t seed, void (*call)());

namespace evenkeel::test {
namespace {

constexpr uint32_t kRoundToZero = 0x1f80 | 3 << 13;  // mxcsr: default, rounding towards zero
constexpr uint32_t kFlushToZero = 0x1f80 | 1 << 15;
constexpr uint16_t kSinglePrecision = 0x007f;  // x87: default but 24-bit mantissa
constexpr uint16_t kRoundDown = 0x077f;

void set_float_control(uint32_t mxcsr, uint16_t x87) {
  asm volatile("ldmxcsr %0" ::"m"(mxcsr));
  asm volatile("fldcw %0" ::"m"(x87));
}
void require_float_control(uint32_t mxcsr, uint16_t x87) {
  uint32_t mxcsr_now = 0;
  uint16_t x87_now = 0;
  asm volatile("stmxcsr %0" : "=m"(mxcsr_now));
  asm volatile("fnstcw %0" : "=m"(x87_now));
  REQUIRE_EQ(mxcsr_now & ~0x3fU, mxcsr);  // the low bits are flags, not control
  REQUIRE_EQ(x87_now, x87);
}

void yield_often() {
  for (int i = 0; i < 100; ++i) sched::yield();
}

TEST(Context, KeepsCalleeSavedRegisters) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (uint64_t i = 0; i < 4; ++i) {
                spawn([i] { REQUIRE_EQ(keeps_registers(i << 32, yield_often), 0); });
              }
              join_all();
            }));
}

TEST(Context, KeepsFloatingPointControl) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              spawn([] {
                set_float_control(kRoundToZero, kSinglePrecision);
                yield_often();
                require_float_control(kRoundToZero, kSinglePrecision);
              });
              spawn([] {
                set_float_control(kFlushToZero, kRoundDown);
                yield_often();
                require_float_control(kFlushToZero, kRoundDown);
              });
              yield_often();
              require_float_control(0x1f80, 0x037f);
              join_all();
            }));
}

TEST(Context, KeepsEachThreadsOwnThreadPointer) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer needs its own TLS";
#endif
  // Nothing between the switches may touch TLS: the block is only an address here, but glibc reads
  // its own pointer at offset 16 and the stack guard at 40, so give it room.
  static uint64_t block[2][64];
  static bool seen[2];
  EXPECT_EQ(kPassed, run_replica({}, [] {
              for (uint64_t i = 0; i < 2; ++i) {
                const sched::ThreadId id = spawn([i] {
                  for (int n = 0; n < 100; ++n) {
                    REQUIRE_EQ(sched::fs_base(), reinterpret_cast<uint64_t>(block[i]));
                    sched::yield();
                  }
                  seen[i] = true;
                });
                sched::thread(id).fs_base = reinterpret_cast<uint64_t>(block[i]);
              }
              join_all();
              REQUIRE(seen[0]);
              REQUIRE(seen[1]);
            }));
}

uint64_t g_child_saw[13];
[[noreturn]] void require_child_registers();
asm(R"(
.text
.type evenkeel_test_child, @function
evenkeel_test_child:
  lea g_child_saw_address(%rip), %r11
  mov (%r11), %r11
  mov %rbx, 0(%r11)
  mov %rbp, 8(%r11)
  mov %r12, 16(%r11)
  mov %r13, 24(%r11)
  mov %r14, 32(%r11)
  mov %r15, 40(%r11)
  mov %rdi, 48(%r11)
  mov %rsi, 56(%r11)
  mov %rdx, 64(%r11)
  mov %r8, 72(%r11)
  mov %r9, 80(%r11)
  mov %r10, 88(%r11)
  mov %rax, 96(%r11)
  and $-16, %rsp
  call *g_child_continue(%rip)
.size evenkeel_test_child, .-evenkeel_test_child
)");
extern "C" {
void evenkeel_test_child();
[[gnu::used]] uint64_t* g_child_saw_address = g_child_saw;
[[gnu::used]] void (*g_child_continue)() = require_child_registers;
}

void require_child_registers() {
  for (uint64_t i = 0; i < 12; ++i) REQUIRE_EQ(g_child_saw[i], i + 1);
  REQUIRE_EQ(g_child_saw[12], 0);  // clone() returns 0 in the child
  unpark(1);
  sched::lock();
  sched::retire_thread(sched::self());
  sched::suspend_locked();
  __builtin_unreachable();
}

TEST(Context, ChildStartsWithItsParentsRegisters) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              const sched::ThreadId id = spawn([] { REQUIRE(false); });
              sched::Thread& child = sched::thread(id);
              const auto stack = reinterpret_cast<uint64_t>(child.sp);
              child.sp = sched::make_child_context(
                  stack, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                          reinterpret_cast<uint64_t>(&evenkeel_test_child)});
              park(1);
            }));
}

}  // namespace
}  // namespace evenkeel::test
