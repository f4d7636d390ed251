#include "shim/user_dispatch.h"

#include <linux/prctl.h>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "shim/real_signals.h"
#include "shim/text_range.h"

namespace evenkeel::shim {
namespace {

void handle_sigsys(int, siginfo_t*, void* opaque) {
  auto& context = *static_cast<ucontext_t*>(opaque);
  kernel::Call call{static_cast<long>(reg(context, REG_RAX)),
                    {reg(context, REG_RDI), reg(context, REG_RSI), reg(context, REG_RDX),
                     reg(context, REG_R10), reg(context, REG_R8), reg(context, REG_R9)},
                    &context};
  kernel::replica().counters[wire::kCountDispatchedCalls].fetch_add(1, std::memory_order_relaxed);
  reg(context, REG_RAX) = static_cast<uint64_t>(kernel::system_call(call));
  context.uc_stack = alternate_stack();
}

}  // namespace

// SIGSYS stays on the application's own stack: the call may suspend the thread, whose context must
// lie in tracked memory.
void install_dispatch() { install_handler(SIGSYS, handle_sigsys, 0); }

void dispatch_calls_of(sched::Carrier& carrier) {
  give_alternate_stack(carrier);
  const auto set = sys::call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
                             text_begin(), text_bytes(), 0);
  if (!set.ok()) EVENKEEL_DIE("syscall user dispatch refused (Linux 5.11)", "errno", set.err());
}

}  // namespace evenkeel::shim
