#include "runtime/kernel/fault.h"

#include <signal.h>
#include <sys/resource.h>

#include <atomic>

#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/signal_state.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

constinit std::atomic<bool> g_faulted = false;
constinit Fault g_fault{};  // written by who sets g_faulted, read when all threads are parked

constinit std::atomic<uint32_t> g_calls_to_crash = 0;  // 0: never

}  // namespace

void note_fault(const Fault& fault) {
  if (!g_faulted.exchange(true, std::memory_order_acq_rel)) g_fault = fault;
  sched::stop();
}

void fail(int signal, uint64_t address, uint64_t code) {
  note_fault({signal, address, code, sched::index_of(sched::self().id)});
  if (!sched::lock_held_by_this_carrier()) sched::lock();
  sched::suspend_locked();
  __builtin_unreachable();
}

Fault take_fault() {
  if (!g_faulted.exchange(false, std::memory_order_acquire)) return {};
  return g_fault;
}

void discard_fault() { g_faulted.store(false, std::memory_order_relaxed); }

void crash_at_call(uint32_t n) { g_calls_to_crash.store(n, std::memory_order_relaxed); }

void maybe_crash() {
  if (g_calls_to_crash.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  if (g_calls_to_crash.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  constexpr uint64_t kNowhere = 0x10;  // in the page that is never mapped
  reinterpret_cast<void (*)()>(kNowhere)();
}

bool is_crash(int signal) {
  switch (signal) {
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGSEGV:
    case SIGSYS:
    case SIGTRAP:
      return true;
    default:
      return false;
  }
}

bool crashes_pass() { return deck().command.let_crash != 0; }

void restore_default_action(int signal) {
  const signals::Action action{};  // all zero is SIG_DFL
  sys::call(SYS_rt_sigaction, signal, sys::arg(&action), 0, sizeof action.mask).ignore();
}

void leave_no_core_file() {
  const rlimit none{0, 0};
  sys::call(SYS_prlimit64, 0, RLIMIT_CORE, sys::arg(&none), 0).ignore();  // lowering cannot fail
}

void die_by(int signal) {
  restore_default_action(signal);
  // Cannot fail, and does not return: no carrier blocks signals.
  sys::call(SYS_tgkill, sys::getpid().value(), sys::gettid().value(), signal).ignore();
  sys::exit_group(128 + signal);
}

}  // namespace evenkeel::kernel
