// Threads of the server: clone() makes a context, exit() ends one.
#include "runtime/kernel/thread_calls.h"

#include <linux/sched.h>
#include <ucontext.h>

#include <cerrno>
#include <utility>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/futex.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/context.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::Thread;

using ExitHook = void();
constinit ExitHook* g_exit_hook = nullptr;

// Detached threads that ended in earlier commands and that nobody has joined. As many as there can
// be: each creation joins all, and between two of them no more threads can end than there are.
struct EndedDetached {
  uint32_t count;
  uint64_t pointers[wire::kMaxThreads];
};
constinit EndedDetached* g_ended = nullptr;  // set once by init_thread_calls()

bool ended_detached(uint64_t thread_pointer) {
  for (uint32_t i = 0; i < g_ended->count; ++i) {
    if (g_ended->pointers[i] == thread_pointer) return true;
  }
  return false;
}

uint64_t gpr(const ucontext_t& context, int index) {
  return static_cast<uint64_t>(context.uc_mcontext.gregs[index]);
}

sched::ChildRegisters registers_of(const ucontext_t& c) {
  return {gpr(c, REG_RBX), gpr(c, REG_RBP), gpr(c, REG_R12), gpr(c, REG_R13), gpr(c, REG_R14),
          gpr(c, REG_R15), gpr(c, REG_RDI), gpr(c, REG_RSI), gpr(c, REG_RDX), gpr(c, REG_R8),
          gpr(c, REG_R9),  gpr(c, REG_R10), gpr(c, REG_RIP)};
}

void store(uint64_t address, uint32_t value) {
  __atomic_store_n(reinterpret_cast<uint32_t*>(address), value, __ATOMIC_SEQ_CST);
}

// The arguments of clone(2) on x86-64.
struct CloneArguments {
  uint64_t flags, stack, parent_tid, child_tid, tls;
};

long create_thread(const CloneArguments& clone, const ucontext_t& context) {
  sched::OrderedGuard guard(state().thread_version, sched::Tag::kTable);
  Thread* thread = sched::allocate_thread();
  if (thread == nullptr) return -EAGAIN;
  const Thread& parent = sched::self();
  thread->fs_base = (clone.flags & CLONE_SETTLS) != 0 ? clone.tls : parent.fs_base;
  inherit_thread_attributes(*thread, parent);
  thread->stack_end = clone.stack;
  thread->detached = parent.creates_detached;
  thread->sp = sched::make_child_context(clone.stack, registers_of(context));
  const uint32_t tid = tid_of(*thread);
  if ((clone.flags & CLONE_PARENT_SETTID) != 0) store(clone.parent_tid, tid);
  if ((clone.flags & CLONE_CHILD_SETTID) != 0) store(clone.child_tid, tid);
  if ((clone.flags & CLONE_CHILD_CLEARTID) != 0) thread->clear_tid = clone.child_tid;
  sched::make_ready(*thread);
  return tid;
}

}  // namespace

void init_thread_calls() { g_ended = arena::create<EndedDetached>(); }

void set_thread_exit_hook(void (*hook)()) { g_exit_hook = hook; }

uint32_t tid_of(const Thread& thread) {
  return static_cast<uint32_t>(deck().boot.reported_pid) + sched::index_of(thread.id);
}

Thread* thread_of_tid(uint32_t tid) {
  const uint32_t index = tid - static_cast<uint32_t>(deck().boot.reported_pid);
  if (index >= sched::thread_slots()) return nullptr;
  Thread& thread = sched::thread(sched::ThreadId{index});
  const bool alive =
      thread.state != sched::ThreadState::kFree && thread.state != sched::ThreadState::kDead;
  return alive ? &thread : nullptr;
}

long sys_clone(const Call& call) {
  constexpr uint64_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
  if ((call.args[0] & kThread) != kThread) return fork_like(call);
  // Only the dispatched form knows where the child is to continue; libc has no other.
  EVENKEEL_CHECK(call.context != nullptr);
  return create_thread({call.args[0], call.args[1], call.args[2], call.args[3], call.args[4]},
                       *static_cast<const ucontext_t*>(call.context));
}

// libc falls back to clone(), which says the same in fewer words.
long sys_clone3(const Call&) { return -ENOSYS; }

long sys_exit(const Call& call) {
  Thread& thread = sched::self();
  const uint64_t clear_tid = thread.clear_tid;
  if (g_exit_hook != nullptr) g_exit_hook();
  if (sched::live_threads() == 1) end_process(call.integer(0), 0);
  // The join of a thread waits for its tid to become zero. From then on its stack may be reused, so
  // the store, the wake-up and the last use of the stack are one section.
  lock_futex(clear_tid);
  sched::retire_thread(thread);
  if (clear_tid != 0) {
    ++state().uncleared_tids;
    if (sched::wake(clear_tid, 1) != 0) clear_tid_if_exited(thread);
  }
  sched::suspend_locked();
  __builtin_unreachable();
}

Thread* thread_of_tid_word(uint64_t address, uint32_t expected) {
  const uint32_t index = expected - static_cast<uint32_t>(deck().boot.reported_pid);
  if (index >= sched::thread_slots()) return nullptr;
  Thread& thread = sched::thread(sched::ThreadId{index});
  return thread.clear_tid == address ? &thread : nullptr;
}

bool clear_tid_if_exited(Thread& thread) {
  if (thread.state != sched::ThreadState::kDead) return false;
  if (thread.clear_tid == 0) return true;
  --state().uncleared_tids;
  store(thread.clear_tid, 0);
  thread.clear_tid = 0;
  return true;
}

// Null: there is none, or it ended in an earlier command, or its end has been noticed.
Thread* thread_with_pointer(uint64_t thread_pointer) {
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) {
    Thread& thread = sched::thread(sched::ThreadId{i});
    if (thread.fs_base == thread_pointer && thread.clear_tid != 0) return &thread;
  }
  return nullptr;
}

int await_exit(uint64_t thread_pointer) {
  Thread* thread = thread_with_pointer(thread_pointer);
  if (thread == nullptr) return 0;
  const uint64_t word = thread->clear_tid;
  for (;;) {
    lock_futex(word);
    const bool exited = thread->clear_tid != word || clear_tid_if_exited(*thread);
    const bool each_other = thread->state == sched::ThreadState::kWaiting &&
                            thread->wait_kind == wire::WaitKind::kJoin &&
                            thread->wait_key == sched::self().clear_tid;
    if (exited || each_other) {
      sched::unlock();
      return exited ? 0 : EDEADLK;
    }
    wait_on(word, sched::kNoDeadline, true, wire::WaitKind::kJoin);
  }
}

void look_for_exit(uint64_t thread_pointer) {
  Thread* thread = thread_with_pointer(thread_pointer);
  if (thread == nullptr) return;
  lock_futex(thread->clear_tid);
  const bool exited = clear_tid_if_exited(*thread);
  sched::unlock();
  if (!exited && sched::serial()) sched::yield();  // the caller may ask until it has
}

void clear_tids_of_exited() {
  for (uint32_t i = 0; i < sched::thread_slots() && state().uncleared_tids != 0; ++i) {
    static_cast<void>(clear_tid_if_exited(sched::thread(sched::ThreadId{i})));
  }
}

Detached detach_thread(uint64_t thread_pointer) {
  sched::Guard guard;
  Thread* thread = thread_with_pointer(thread_pointer);
  if (thread != nullptr)
    return std::exchange(thread->detached, true) ? Detached::kAlready : Detached::kYes;
  return ended_detached(thread_pointer) ? Detached::kAlready : Detached::kEnded;
}

void create_detached(bool on) {
  if (sched::started()) sched::self().creates_detached = on;
}

bool detached(uint64_t thread_pointer) {
  sched::Guard guard;
  const Thread* thread = thread_with_pointer(thread_pointer);
  return thread != nullptr ? thread->detached : ended_detached(thread_pointer);
}

uint64_t next_ended_detached() {
  sched::Guard guard;
  return g_ended->count != 0 ? g_ended->pointers[--g_ended->count] : 0;
}

void list_ended_detached() {
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) {
    Thread& thread = sched::thread(sched::ThreadId{i});
    if (thread.state != sched::ThreadState::kDead || !thread.detached) continue;
    EVENKEEL_CHECK(g_ended->count < wire::kMaxThreads);
    g_ended->pointers[g_ended->count++] = thread.fs_base;
  }
}

long sys_gettid(const Call&) { return tid_of(sched::self()); }

long sys_set_tid_address(const Call& call) {
  sched::self().clear_tid = call.args[0];
  return tid_of(sched::self());
}

long sys_set_robust_list(const Call& call) {
  sched::self().robust_list = call.args[0];
  return 0;
}

// rseq keeps a kernel thread's processor number in application memory: threads are not kernel
// threads here, and libc does without it.
long sys_rseq(const Call&) { return -ENOSYS; }

}  // namespace evenkeel::kernel
