#include "shim/interruption.h"

#include <cstddef>
#include <cstring>

#include "shim/real_signals.h"

extern "C" {
[[gnu::visibility("hidden")]] void evenkeel_interruption();
[[gnu::visibility("hidden")]] void evenkeel_run_interruption(
    evenkeel::shim::Interruption& interruption);
}

// Entered with the stack pointer at the Interruption, whose first member is the context: that is
// where rt_sigreturn() looks for it, just above where a return address would have been popped.
asm(R"(
.text
.globl evenkeel_interruption
.hidden evenkeel_interruption
.type evenkeel_interruption, @function
evenkeel_interruption:
  mov %rsp, %rdi
  call evenkeel_run_interruption
  mov $15, %eax
  syscall
.size evenkeel_interruption, .-evenkeel_interruption
)");

extern "C" void evenkeel_run_interruption(evenkeel::shim::Interruption& interruption) {
  interruption.body(interruption);
  interruption.context.uc_stack = evenkeel::shim::alternate_stack();
}

namespace evenkeel::shim {
namespace {

constexpr uint64_t kRedZoneBytes = 128;        // System V ABI for x86-64
constexpr uint64_t kDirectionFlag = 1 << 10;   // of EFLAGS; clear at every call
constexpr uint64_t kXstateAlignment = 64;      // of the area that XSAVE writes
constexpr uint32_t kXstateMagic = 0x46505853;  // FP_XSTATE_MAGIC1
constexpr size_t kFxsaveBytes = 512;           // the area without extended state
constexpr size_t kSoftwareBytesOffset = 464;   // struct _fpx_sw_bytes within it
// What the kernel pushes of the context: libc's type continues with fields of its own.
constexpr size_t kContextBytes = offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t);

// Of the floating-point state that a frame points to, from struct _fpx_sw_bytes.
size_t xstate_bytes(const char* area) {
  uint32_t magic_and_size[2];
  std::memcpy(magic_and_size, area + kSoftwareBytesOffset, sizeof magic_and_size);
  return magic_and_size[0] == kXstateMagic ? magic_and_size[1] : kFxsaveBytes;
}

}  // namespace

uint64_t below_red_zone(const ucontext_t& context) {
  return static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RSP]) - kRedZoneBytes;
}

void interrupt(ucontext_t& context, const siginfo_t& info, uint64_t stack_top,
               void (*body)(Interruption&)) {
  const auto* area = reinterpret_cast<const char*>(context.uc_mcontext.fpregs);
  const size_t area_bytes = xstate_bytes(area);
  const uint64_t copy = (stack_top - area_bytes) & ~(kXstateAlignment - 1);
  std::memcpy(reinterpret_cast<char*>(copy), area, area_bytes);

  constexpr uint64_t kStackAlignment = 16;  // at a call instruction
  const uint64_t frame = (copy - sizeof(Interruption)) & ~(kStackAlignment - 1);
  auto& interruption = *reinterpret_cast<Interruption*>(frame);
  std::memcpy(&interruption.context, &context, kContextBytes);
  interruption.context.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(copy);
  interruption.info = info;
  interruption.body = body;

  reg(context, REG_RSP) = frame;
  reg(context, REG_RIP) = reinterpret_cast<uint64_t>(evenkeel_interruption);
  reg(context, REG_EFL) &= ~kDirectionFlag;
}

}  // namespace evenkeel::shim
