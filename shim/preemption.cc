#include "shim/preemption.h"

#include <atomic>

#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "shim/interruption.h"
#include "shim/real_signals.h"
#include "shim/watch.h"

namespace evenkeel::shim {
namespace {

constinit std::atomic<bool> g_hung = false;

bool must_stop() {
  return kernel::replica().stop_sequence.load(std::memory_order_acquire) ==
         kernel::deck().command_sequence.load(std::memory_order_acquire);
}

void note_position(const sched::Thread& thread, uint64_t code) {
  wire::Replica& me = kernel::replica();
  const uint32_t slot = me.caught_count.fetch_add(1, std::memory_order_relaxed);
  if (slot < wire::kMaxCaught) me.caught[slot] = {code, sched::index_of(thread.id), 0};
}

// The runtime is not to be interrupted in its own code, nor in what it called holding its lock, nor
// while it handles a fault. The coordinator asks again.
bool interruptible(const ucontext_t& context) {
  const auto code = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
  const auto stack_pointer = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RSP]);
  return !stepping() && sched::carrier().current != nullptr &&
         !sched::lock_held_by_this_carrier() && !in_runtime_text(code) &&
         !on_alternate_stack(stack_pointer);
}

void handle_watchdog(int, siginfo_t* info, void* opaque) {
  auto& context = *static_cast<ucontext_t*>(opaque);
  if (must_stop()) {
    g_hung.store(true, std::memory_order_release);
    sched::stop();
    sched::announce_quiet();  // a carrier that sleeps until the order log moves looks around
  }
  if (!interruptible(context)) return;
  if (sched::stopping()) {
    note_position(sched::self(), reg(context, REG_RIP));
    sched::abandon();
  }
  if (!sched::anything_ready() && !sched::closing_waiters()) return;
  interrupt(context, *info, below_red_zone(context), [](Interruption&) {
    sched::note_spin();
    sched::yield();
  });
}

}  // namespace

// With SA_RESTART: a call made for the server (an open, a lock of a file) must not end in EINTR
// because of a signal that is none of its own.
void install_watchdog() { install_handler(SIGURG, handle_watchdog, SA_ONSTACK | SA_RESTART); }

bool take_hang() { return g_hung.exchange(false, std::memory_order_acquire); }

void discard_hang() {
  g_hung.store(false, std::memory_order_relaxed);
  kernel::replica().caught_count.store(0, std::memory_order_relaxed);
}

}  // namespace evenkeel::shim
