#include "shim/user_dispatch.h"

#include <linux/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>

#include "runtime/core/check.h"
#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/core/text.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/lock.h"
#include "snapshot/snapshot.h"

// The library's text, from the linker: the only place whose system calls are not dispatched.
// Hidden: or the server's own `etext`, if it exports one, would take the place of ours.
extern "C" {
[[gnu::visibility("hidden")]] extern const char __ehdr_start[];
[[gnu::visibility("hidden")]] extern const char etext[];
[[gnu::visibility("hidden")]] void evenkeel_restorer();
}

// rt_sigreturn() must come from the allowed range too, so the handlers bring their own restorer.
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

constexpr size_t kAltStackBytes = 64 << 10;          // per carrier, for fault handlers
constexpr unsigned long kRestorerFlag = 0x04000000;  // SA_RESTORER

// struct sigaction as the kernel has it.
struct KernelSigaction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

// By carrier; each entry is written once, by its carrier.
constinit stack_t g_alternate_stacks[sched::kMaxCarriers] = {};

constinit std::atomic<bool> g_faulted = false;
constinit Fault g_fault{};

uint64_t& reg(ucontext_t& context, int index) {
  return reinterpret_cast<uint64_t&>(context.uc_mcontext.gregs[index]);
}

void handle_sigsys(int, siginfo_t*, void* opaque) {
  auto& context = *static_cast<ucontext_t*>(opaque);
  kernel::Call call{static_cast<long>(reg(context, REG_RAX)),
                    {reg(context, REG_RDI), reg(context, REG_RSI), reg(context, REG_RDX),
                     reg(context, REG_R10), reg(context, REG_R8), reg(context, REG_R9)},
                    &context};
  kernel::replica().counters[wire::kCountDispatchedCalls].fetch_add(1, std::memory_order_relaxed);
  reg(context, REG_RAX) = static_cast<uint64_t>(kernel::system_call(call));
  // rt_sigreturn() installs the alternate stack that the frame names. The frame was pushed on the
  // carrier where the call began, and the call may end on another: with that one's stack, the two
  // would push their fault frames over each other. Nothing suspends from here on.
  context.uc_stack = g_alternate_stacks[sched::carrier().index];
}

bool in_runtime_text(uint64_t code) {
  return code - reinterpret_cast<uint64_t>(__ehdr_start) <
         static_cast<uint64_t>(etext - __ehdr_start);
}

[[noreturn]] void die_of_fault(int number, const Fault& fault) {
  Text<256> message;
  message.add("FATAL evenkeel: fault inside the runtime signal=").add(number);
  message.add(" address=").hex(fault.address).add(" code=").hex(fault.code);
  message.add(" text+").hex(fault.code - reinterpret_cast<uint64_t>(__ehdr_start)).add("\n");
  message.write_to(2);
  const KernelSigaction default_action{};
  sys::call(SYS_rt_sigaction, number, sys::arg(&default_action), 0, sizeof(uint64_t)).ignore();
  sys::call(SYS_tgkill, sys::getpid().value(), sys::gettid().value(), number).ignore();
  sys::exit_group(128 + number);
}

// A fault of the application: this thread's execution ends here, the batch has failed. The state is
// good for nothing but a rollback, so the context may be left on the alternate stack.
void handle_fault(int number, siginfo_t* info, void* opaque) {
  constexpr uint64_t kWriteFault = 2;  // bit 1 of the page-fault error code
  auto& context = *static_cast<ucontext_t*>(opaque);
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  const bool write = (reg(context, REG_ERR) & kWriteFault) != 0;
  if (number == SIGSEGV && write && snapshot::handle_write_fault(address)) return;
  Fault fault{number, address, reg(context, REG_RIP), 0};
  if (sched::carrier().current == nullptr || sched::lock_held_by_this_carrier() ||
      in_runtime_text(fault.code)) {
    die_of_fault(number, fault);
  }
  fault.thread = sched::index_of(sched::self().id);
  if (!g_faulted.exchange(true, std::memory_order_acq_rel)) g_fault = fault;
  sched::stop();
  sched::abandon();
}

void install(int number, void (*handler)(int, siginfo_t*, void*), unsigned long flags) {
  // SA_NODEFER and no mask: a handler may switch threads, and the kernel's mask belongs to the
  // carrier, so it must never change.
  const KernelSigaction action{handler, SA_SIGINFO | SA_NODEFER | kRestorerFlag | flags,
                               evenkeel_restorer, 0};
  const auto done = sys::call(SYS_rt_sigaction, number, sys::arg(&action), 0, sizeof action.mask);
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

}  // namespace

void install_handlers() {
  // SIGSYS stays on the application's own stack: the call may suspend the thread, whose context
  // must lie in tracked memory. Faults may be faults of that very stack.
  install(SIGSYS, handle_sigsys, 0);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    install(number, handle_fault, SA_ONSTACK);
}

void dispatch_calls_of(sched::Carrier& carrier) {
  give_alternate_stack(carrier);
  const auto text_bytes = static_cast<long>(etext - __ehdr_start);
  const auto set = sys::call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
                             sys::arg(__ehdr_start), text_bytes, 0);
  if (!set.ok()) EVENKEEL_DIE("syscall user dispatch refused (Linux 5.11)", "errno", set.err());
}

void discard_fault() { g_faulted.store(false, std::memory_order_relaxed); }

Fault take_fault() {
  if (!g_faulted.exchange(false, std::memory_order_acquire)) return {};
  return g_fault;
}

}  // namespace evenkeel::shim
