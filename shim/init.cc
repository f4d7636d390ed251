// From the dynamic linker to the server's main: what the process becomes, and how a replica starts.
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/hash.h"
#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/memory.h"
#include "runtime/kernel/real_fd.h"
#include "runtime/kernel/signals.h"
#include "runtime/kernel/stdio.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/kernel/vdso.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/context.h"
#include "runtime/sched/lanes.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sync/sync.h"
#include "shim/faults.h"
#include "shim/heap_hooks.h"
#include "shim/launch.h"
#include "shim/marks.h"
#include "shim/mode.h"
#include "shim/preemption.h"
#include "shim/pump.h"
#include "shim/real.h"
#include "shim/regions.h"
#include "shim/requests.h"
#include "shim/state_transfer.h"
#include "shim/thread_hooks.h"
#include "shim/user_dispatch.h"
#include "shim/watch.h"
#include "snapshot/snapshot.h"
#include "verify/verify.h"

extern "C" char** environ;

namespace evenkeel::shim {
namespace {

using Main = int(int, char**, char**);
using StartMain = int(Main*, int, char**, void (*)(), void (*)(), void (*)(), void*);

// What __libc_start_main was called with. It runs again, the real one, on the main thread's own
// stack in tracked memory.
struct StartArguments {
  Main* main;
  int argc;
  char** argv;
  void (*init)();
  void (*fini)();
  void (*rtld_fini)();
  void* stack_end;
};
constinit StartArguments g_start{};
constinit int g_image_fd = -1;

constexpr uint64_t kMainStackBytes = 8 << 20;  // RLIMIT_STACK's usual value

void must(sys::Result result, const char* what) {
  if (!result.ok()) die(__FILE__, __LINE__, what, "errno", nullptr, result.err());
}

wire::Deck& attached_deck() { return *reinterpret_cast<wire::Deck*>(wire::kDeckAddress); }

void attach_deck() {
  const auto mapped =
      sys::mmap(reinterpret_cast<void*>(wire::kDeckAddress), sizeof(wire::Deck),
                PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, deck_fd(), 0);
  must(mapped, "cannot map the deck");
  const wire::Deck& deck = attached_deck();
  if (deck.boot.magic != wire::kMagic || deck.boot.version != wire::kVersion) {
    EVENKEEL_DIE("library and coordinator differ in version", "deck", deck.boot.version);
  }
}

// libc hides function pointers that it stores, also in malloc'ed memory, behind a random word of
// each process: %fs:0x30, pointer_guard in glibc's tcbhead_t. Replicas must hide them alike. The
// library is linked with -z initfirst, so this runs before any constructor can have stored one.
[[gnu::constructor]] void share_pointer_guard() {
  if (!active()) return;
  attach_deck();
  const uint64_t seed = attached_deck().boot.seed;
  const uint64_t guard = hash64(&seed, sizeof seed, 0);
  asm volatile("mov %0, %%fs:0x30" ::"r"(guard) : "memory");
}

// ---- glue between layers that may not include each other

void region_added(Range range, bool hashed) {
  const wire::Deck& deck = kernel::deck();
  track_later(kernel::replica(), range, hashed, kernel::is_primary(), deck.boot.verify != 0);
}
void region_removed(Range range) { untrack_later(range, kernel::deck().boot.verify != 0); }

constexpr kernel::MemoryHooks kMemoryHooks{snapshot::protect, snapshot::discard, region_added,
                                           region_removed};

snapshot::Backend backend_of(wire::Tracker tracker) {
  if (tracker == wire::Tracker::kMprotect) return snapshot::Backend::kMprotect;
  if (tracker == wire::Tracker::kUserfaultfd) return snapshot::Backend::kUserfaultfd;
  return snapshot::available(snapshot::Backend::kUserfaultfd) ? snapshot::Backend::kUserfaultfd
                                                              : snapshot::Backend::kMprotect;
}

void prepare_kernel_write(void* address, size_t bytes) {
  stop_watching(address, bytes);
  snapshot::prepare_kernel_write(address, bytes);
}

void start_snapshot(const wire::Deck& deck, bool replacement) {
  must(snapshot::init({backend_of(deck.boot.tracker), g_image_fd, deck.boot.verify != 0}),
       "cannot track memory; see `evenkeel doctor`, or use --tracker mprotect");
  kernel::set_kernel_write_hook(prepare_kernel_write);
  if (deck.boot.verify != 0) must(verify::init(), "cannot map the Merkle tree");
  if (replacement) return prepare_memory(kernel::replica());
  track_memory(kernel::replica(), replica_number() == deck.command.primary, deck.boot.verify != 0);
}

// The last block tells whether all before it were allocated alike.
uint64_t describe_layout() {
  const uint64_t parts[] = {reinterpret_cast<uint64_t>(arena::allocate(1)),
                            reinterpret_cast<uint64_t>(&g_start),
                            reinterpret_cast<uint64_t>(g_start.stack_end)};
  return hash64(parts, sizeof parts, 0);
}

// From the argument count up to the name of the program, which the kernel puts first.
Range initial_stack() {
  const auto begin = reinterpret_cast<uint64_t>(g_start.stack_end);
  return {begin, page_ceil(getauxval(AT_EXECFN)) - begin};
}

void build_kernel(wire::Deck& deck) {
  arena::init();
  sched::init_threads();
  sched::init_lanes(deck.boot.order == wire::Order::kIndependent);
  sched::init_timers();
  sched::init_order(deck, replica_number());
  kernel::set_memory_hooks(kMemoryHooks);
  kernel::init_memory();
  sched::set_batch_time({0, deck.boot.monotonic_ns, deck.boot.realtime_ns, 0, deck.boot.seed});
  kernel::init(deck, replica_number());
  sys::close(deck_fd()).ignore();  // mapped; the number is the server's
  const bool shares_image = deck.boot.replica_count > 1 && deck.boot.image_fd >= 0;
  g_image_fd = shares_image ? kernel::move_fd_high(deck.boot.image_fd) : -1;
  if (deck.boot.offline != 0) set_stored_source(kernel::move_fd_high(deck.boot.state_fd));
  kernel::init_stdio();
  sync::init();
  init_thread_hooks();
  kernel::set_thread_exit_hook(sync::release_robust_mutexes);
  sched::set_lock_probe(sync::lock_held);
  init_heap_order();
  init_marks();
  init_requests();
  kernel::replica().layout = describe_layout();
}

void announce(wire::Deck& deck) {
  wire::Replica& me = deck.replicas[replica_number()];
  me.pid = static_cast<int32_t>(sys::getpid().value());
  me.attached.store(1, std::memory_order_release);
}

void carrier_started(sched::Carrier& carrier) {
  dispatch_calls_of(carrier);
  wire::Replica& me = kernel::replica();
  me.carrier_tid[carrier.index] = carrier.tid;
  me.carrier_count.store(carrier.index + 1, std::memory_order_release);
}

void run_main(void*) {
  auto* real = reinterpret_cast<StartMain*>(real::next("__libc_start_main"));
  real(g_start.main, g_start.argc, g_start.argv, g_start.init, g_start.fini, g_start.rtld_fini,
       g_start.stack_end);
  __builtin_unreachable();
}

sched::Thread& make_main_thread() {
  sched::Thread& thread = *sched::allocate_thread();
  const Range stack = kernel::allocate_stack(kMainStackBytes);
  thread.fs_base = sched::fs_base();
  thread.signal_mask = kernel::inherited_signal_mask();
  thread.stack_end = stack.end();
  thread.sp = sched::make_call_context(stack.end(), run_main, nullptr);
  return thread;
}

[[noreturn]] void start_replica() {
  constexpr unsigned long kFsgsbase = 2;  // HWCAP2_FSGSBASE
  sched::init_thread_pointers((getauxval(AT_HWCAP2) & kFsgsbase) != 0);
  wire::Deck& deck = attached_deck();
  announce(deck);
  // Behind a wrapper that forks, the parent is the wrapper, which dies with the coordinator.
  sys::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL).ignore();  // cannot fail for a valid signal
  clean_environment(environ);
  build_kernel(deck);
  must(kernel::patch_vdso(), "cannot patch the vDSO");
  install_dispatch();
  install_fault_handlers();
  install_watchdog();
  sched::Thread& main_thread = make_main_thread();
  const bool replacement = kernel::replica().admission.load() == wire::kStarting;
  start_snapshot(deck, replacement);
  set_initial_stack(initial_stack());
  init_pump(deck, replica_number(), replacement);
  sched::start({on_quiescent, carrier_started}, replacement ? nullptr : &main_thread);
}

}  // namespace
}  // namespace evenkeel::shim

extern "C" __attribute__((visibility("default"))) int __libc_start_main(
    int (*main)(int, char**, char**), int argc, char** argv, void (*init)(), void (*fini)(),
    void (*rtld_fini)(), void* stack_end) {
  using namespace evenkeel::shim;
  switch (mode()) {
    case Mode::kLaunch:
      evenkeel::sys::exit_group(become_coordinator(environ));
    case Mode::kReplica:
      g_start = {main, argc, argv, init, fini, rtld_fini, stack_end};
      start_replica();
    case Mode::kPassive:
    case Mode::kUndecided:
      break;
  }
  auto* real = reinterpret_cast<StartMain*>(evenkeel::real::next("__libc_start_main"));
  return real(main, argc, argv, init, fini, rtld_fini, stack_end);
}
