#include "shim/faults.h"

#include "runtime/core/sys.h"
#include "runtime/core/text.h"
#include "runtime/kernel/fault.h"
#include "runtime/kernel/signals.h"
#include "runtime/sched/carrier.h"
#include "shim/interruption.h"
#include "shim/real_signals.h"
#include "shim/text_range.h"
#include "shim/watch.h"
#include "snapshot/snapshot.h"

namespace evenkeel::shim {
namespace {

[[noreturn]] void die_of_fault(int number, uint64_t address, uint64_t code) {
  Text<256> message;
  message.add("FATAL evenkeel: fault inside the runtime signal=").add(number);
  message.add(" address=").hex(address).add(" code=").hex(code);
  message.add(" text+").hex(code - text_begin()).add("\n").write_to(2);
  kernel::die_by(number);
}

// The runtime's own: in the scheduler or the pump, or a failed check (which traps). Anything else
// that faults here was given a bad address by the server.
bool is_own(int number, uint64_t code) {
  return sched::carrier().current == nullptr || (number == SIGILL && in_runtime_text(code));
}

void run_handler(Interruption& interruption) {
  kernel::run_fault_handler(interruption.info, interruption.context);
}

// The state is good for nothing but a rollback afterwards, so the context may be left on the
// alternate stack.
void handle_fault(int number, siginfo_t* info, void* opaque) {
  constexpr uint64_t kWriteFault = 2;  // bit 1 of the page-fault error code
  auto& context = *static_cast<ucontext_t*>(opaque);
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  const bool write = (reg(context, REG_ERR) & kWriteFault) != 0;
  if (number == SIGSEGV && handle_watched_access(*info, context)) return;
  if (number == SIGTRAP && handle_step(*info, context)) return;
  if (number == SIGSEGV && write && snapshot::handle_write_fault(address)) return;
  const uint64_t code = reg(context, REG_RIP);
  if (is_own(number, code)) die_of_fault(number, address, code);
  if (!in_runtime_text(code) && kernel::handles_fault(number)) {
    return interrupt(context, *info, kernel::handler_stack(number, below_red_zone(context)),
                     run_handler);
  }
  // The instruction faults again, for real: the core then shows this thread where it crashed.
  if (kernel::crashes_pass()) return kernel::restore_default_action(number);
  kernel::fail(number, address, code);
}

}  // namespace

// On the alternate stack: it may be a fault of the thread's own.
void install_fault_handlers() {
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) {
    install_handler(number, handle_fault, SA_ONSTACK);
  }
}

}  // namespace evenkeel::shim
