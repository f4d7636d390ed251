#include "shim/real_signals.h"

#include <sys/mman.h>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "shim/text_range.h"

extern "C" [[gnu::visibility("hidden")]] void evenkeel_restorer();

// rt_sigreturn() must come from the range that is not dispatched, so the handlers bring their own
// restorer.
asm(R"(
.text
.globl evenkeel_restorer
.hidden evenkeel_restorer
.type evenkeel_restorer, @function
evenkeel_restorer:
  mov $15, %eax
  syscall
.size evenkeel_restorer, .-evenkeel_restorer
)");

namespace evenkeel::shim {
namespace {

constexpr size_t kAltStackBytes = 64 << 10;          // per carrier
constexpr unsigned long kRestorerFlag = 0x04000000;  // SA_RESTORER

// struct sigaction as the kernel has it.
struct KernelSigaction {
  SignalHandler* handler;
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

// By carrier; each entry is written once, by its carrier.
constinit stack_t g_alternate_stacks[sched::kMaxCarriers] = {};

}  // namespace

void install_handler(int signal, SignalHandler* handler, unsigned long flags) {
  // SA_NODEFER and no mask: a handler may switch threads, and the kernel's mask belongs to the
  // carrier, so it must never change.
  const KernelSigaction action{handler, SA_SIGINFO | SA_NODEFER | kRestorerFlag | flags,
                               evenkeel_restorer, 0};
  const auto done = sys::call(SYS_rt_sigaction, signal, sys::arg(&action), 0, sizeof action.mask);
  if (!done.ok()) EVENKEEL_DIE("cannot install a signal handler", "errno", done.err());
}

void give_alternate_stack(const sched::Carrier& carrier) {
  const auto mapped = sys::mmap(nullptr, kAltStackBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot map a signal stack", "errno", mapped.err());
  stack_t& stack = g_alternate_stacks[carrier.index];
  stack.ss_sp = reinterpret_cast<void*>(mapped.value());
  stack.ss_size = kAltStackBytes;
  const auto set = sys::call(SYS_sigaltstack, sys::arg(&stack), 0);
  if (!set.ok()) EVENKEEL_DIE("cannot set a signal stack", "errno", set.err());
}

const stack_t& alternate_stack() { return g_alternate_stacks[sched::carrier().index]; }

bool on_alternate_stack(uint64_t stack_pointer) {
  const stack_t& stack = alternate_stack();
  return stack_pointer - reinterpret_cast<uint64_t>(stack.ss_sp) <= stack.ss_size;
}

bool in_runtime_text(uint64_t code) { return code - text_begin() < text_bytes(); }

}  // namespace evenkeel::shim
