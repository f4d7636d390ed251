#include "runtime/sched/carrier.h"

#include <linux/sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>

#include "runtime/core/check.h"
#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/sched/context.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::sched {
namespace {

// A thread that yields so often is taken to spin for one that lets all others run first.
constexpr uint32_t kMaxYields = 64;

// All under the kernel lock unless atomic.
struct Scheduler {
  bool started;
  Callbacks callbacks;
  Carrier carriers[kMaxCarriers];
  uint32_t count;
  uint32_t parallelism;      // threads that may run at once
  uint32_t running;          // threads on carriers now
  uint32_t idle;             // carriers asleep on `work`
  uint32_t pending_wakeups;  // of those, to be woken when the lock is released
  bool pumping;
  bool waiting_for_order;  // one carrier is in wait_for_order()
  Thread* delayed;         // yield_to_all(), by Thread::next, first come first
  uint32_t yields;         // since one of them was last let go
  std::atomic<bool> stop;
  std::atomic<uint32_t> work;  // futex: bumped for each wake-up of an idle carrier

  // A thread is in the queue at most once, so it cannot overflow.
  uint32_t queue_head, queue_tail;
  Thread* queue[wire::kMaxThreads];
};
constinit Scheduler g{};

uint32_t queued() { return g.queue_tail - g.queue_head; }

Thread* take_ready() {
  if (queued() == 0 || g.running >= g.parallelism) return nullptr;
  return g.queue[g.queue_head++ % wire::kMaxThreads];
}

// Lock held on entry and on return; not held while the thread runs.
void run(Carrier& me, Thread& thread) {
  ++g.running;
  ++me.switches;
  thread.state = ThreadState::kRunning;
  me.current = &thread;
  unlock();
  set_fs_base(thread.fs_base);
  evenkeel_context_switch(&me.scheduler_sp, thread.sp);
  me.current = nullptr;  // the thread suspended itself with the lock held
  --g.running;
}

void sleep_until_work() {
  const uint32_t seen = g.work.load(std::memory_order_relaxed);
  ++g.idle;
  unlock();
  sys::futex_wait(g.work, seen).ignore();
  lock();
  --g.idle;
}

// The one that has waited longest. False: there is none.
bool release_delayed() {
  g.yields = 0;
  Thread* thread = g.delayed;
  if (thread == nullptr) return false;
  g.delayed = thread->next;
  thread->next = nullptr;
  make_ready(*thread);
  return true;
}

void drop_ready() {
  g.queue_head = g.queue_tail = 0;
  g.delayed = nullptr;
  drop_order_waiters();
}

void pump() {
  g.pumping = true;
  unlock();
  g.callbacks.quiescent();
  lock();
  g.pumping = false;
}

[[noreturn]] void carrier_loop(Carrier& me) {
  lock();
  for (;;) {
    if (stopping()) drop_ready();
    if (Thread* thread = g.pumping ? nullptr : take_ready()) {
      run(me, *thread);
    } else if (g.pumping) {
      sleep_until_work();
    } else if (g.running == 0 && release_delayed()) {
      continue;
    } else if (order_waiters() && !g.waiting_for_order && g.running < g.parallelism) {
      g.waiting_for_order = true;
      wait_for_order(g.running != 0);
      g.waiting_for_order = false;
    } else if (g.running == 0 && queued() == 0 && !order_waiters()) {
      if (!settle_waiters()) pump();
    } else {
      sleep_until_work();
    }
  }
}

void* map_stack() {
  constexpr size_t kBytes = kCarrierStackBytes + kPageBytes;
  const auto mapped = sys::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot map a carrier stack", "errno", mapped.err());
  auto* base = reinterpret_cast<char*>(mapped.value());
  const auto guarded = sys::mprotect(base, kPageBytes, PROT_NONE);
  if (!guarded.ok()) EVENKEEL_DIE("cannot guard a carrier stack", "errno", guarded.err());
  return base + kBytes;
}

void enter_carrier(void* argument) {
  auto& me = *static_cast<Carrier*>(argument);
  set_gs_base(reinterpret_cast<uint64_t>(&me));
  me.tid = static_cast<int32_t>(sys::gettid().value());
  g.callbacks.carrier_started(me);
  carrier_loop(me);
}

Carrier& claim_carrier() {
  Carrier& created = g.carriers[g.count];
  created.self = &created;
  created.index = g.count++;
  return created;
}

// clone() whose child starts at enter_carrier() on a stack prepared by make_call_context().
long spawn(void* child_sp) {
  constexpr long kFlags =
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  long result;
  // The child shares nothing of our stack: it switches to its context before it touches memory.
  asm volatile(
      "xor %%r10d, %%r10d\n"
      "xor %%r8d, %%r8d\n"
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "lea -8(%%rsp), %%rdi\n"  // save_sp: a scratch slot below the frame, never read
      "mov %%rsp, %%rsi\n"
      "sub $128, %%rsp\n"
      "call evenkeel_context_switch\n"
      "1:\n"
      : "=a"(result)
      : "a"(SYS_clone), "D"(kFlags), "S"(child_sp), "d"(0)
      : "rcx", "r8", "r10", "r11", "memory");
  return result;
}

}  // namespace

void start(const Callbacks& callbacks, Thread* first) {
  g.callbacks = callbacks;
  g.parallelism = 1;
  Carrier& me = claim_carrier();
  set_gs_base(reinterpret_cast<uint64_t>(&me));
  g.started = true;
  lock();
  if (first != nullptr) make_ready(*first);
  unlock();
  void* left_behind = nullptr;
  void* sp = make_call_context(reinterpret_cast<uint64_t>(map_stack()), enter_carrier, &me);
  evenkeel_context_switch(&left_behind, sp);
  __builtin_unreachable();
}

bool started() { return g.started; }

// Mostly the one that was taken last.
void gives_lock(const uint32_t& version) {
  if (!g.started) return;
  Thread& thread = self();
  if (thread.locks_held == 0) return;
  const uint32_t known = std::min(thread.locks_held, Thread::kMaxLocks);
  --thread.locks_held;
  uint32_t at = known;
  while (at != 0 && thread.locks[at - 1] != &version) --at;
  if (at == 0) return;
  for (; at < known; ++at) thread.locks[at - 1] = thread.locks[at];
}

void add_carriers(uint32_t count) {
  while (g.count < count && g.count < kMaxCarriers) {
    lock();
    Carrier& created = claim_carrier();
    unlock();
    void* sp = make_call_context(reinterpret_cast<uint64_t>(map_stack()), enter_carrier, &created);
    const long tid = spawn(sp);
    if (tid < 0) EVENKEEL_DIE("cannot start a carrier", "errno", -tid);
  }
}

uint32_t carrier_count() { return g.count; }
const Carrier& carrier_at(uint32_t index) { return g.carriers[index]; }

void set_parallelism(uint32_t running) { g.parallelism = running; }
bool serial() { return g.parallelism == 1; }

void make_ready(Thread& thread) {
  thread.state = ThreadState::kReady;
  g.queue[g.queue_tail++ % wire::kMaxThreads] = &thread;
  // A carrier that is in the pump or the scheduler runs one thread itself; beyond that, and for any
  // thread made ready by a running one, an idle carrier is called if the parallelism allows it.
  const uint32_t self_served = carrier().current == nullptr ? 1 : 0;
  if (queued() + g.running > self_served + g.pending_wakeups && g.idle > g.pending_wakeups &&
      g.running + g.pending_wakeups + self_served < g.parallelism) {
    ++g.pending_wakeups;
  }
}

uint32_t take_wakeups() {
  // While the pump works, idle carriers would find nothing to do: they are called when it is done.
  if (g.pumping) return 0;
  const uint32_t count = g.pending_wakeups;
  g.pending_wakeups = 0;
  if (count != 0) g.work.fetch_add(1, std::memory_order_relaxed);  // sleepers read it locked
  return count;
}

void call_idle_carriers(uint32_t count) {
  sys::futex_wake(g.work, static_cast<int>(count)).ignore();
}

void suspend_locked() {
  Carrier& me = carrier();
  evenkeel_context_switch(&me.current->sp, me.scheduler_sp);
}

bool anything_ready() { return queued() != 0 || g.delayed != nullptr; }

uint64_t total_switches() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < g.count; ++i) sum += g.carriers[i].switches;
  return sum;
}

void yield() {
  lock();
  if (stopping()) suspend_locked();
  // A thread that yields until another has done something keeps its carrier from wait_for_order().
  if (order_waiters()) poll_order_waiters();
  // It may yield until a delayed one has done something.
  if (g.delayed != nullptr && ++g.yields == kMaxYields) release_delayed();
  make_ready(self());
  suspend_locked();
}

void yield_to_all() {
  lock();
  if (stopping()) suspend_locked();
  Thread& thread = self();
  thread.state = ThreadState::kReady;
  thread.next = nullptr;
  Thread** tail = &g.delayed;
  while (*tail != nullptr) tail = &(*tail)->next;
  *tail = &thread;
  suspend_locked();
}

void stop() {
  g.stop.store(true, std::memory_order_release);  // acquire in stopping()
}
bool stopping() { return g.stop.load(std::memory_order_acquire); }
void clear_stop() { g.stop.store(false, std::memory_order_relaxed); }

void abandon() {
  lock();
  suspend_locked();
  __builtin_unreachable();
}

}  // namespace evenkeel::sched
