#include "runtime/kernel/process.h"

#include <linux/sched.h>

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/process_state.h"
#include "runtime/kernel/signals.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

// Runtime memory, under the kernel lock: how the execution of a command came out is no part of the
// state that it may be rolled back to.
constinit ProcessOutcome g_outcome{};
constinit ProcessState* g_state = nullptr;  // set once by init_process()

// Nothing has been set up yet that a second process could share or lose.
bool starting_up() {
  return sched::batch_time().batch == 0 && sched::live_threads() == 1 && state().listeners == 0;
}

// What the kernel would have written into the child's memory.
void note_child_tid(const Call& call) {
  if (call.number != SYS_clone) return;
  sched::Thread& self = sched::self();
  const uint64_t address = call.args[3];
  if ((call.args[0] & CLONE_CHILD_CLEARTID) != 0) self.clear_tid = address;
  if ((call.args[0] & CLONE_CHILD_SETTID) != 0) {
    *reinterpret_cast<uint32_t*>(address) = tid_of(self);
  }
}

bool wants_own_memory(const Call& call) {
  return call.number != SYS_clone || (call.args[0] & (CLONE_VM | CLONE_VFORK)) == 0;
}

}  // namespace

void init_process() {
  g_state = arena::create<ProcessState>();
  init_limits(g_state->limits);
  init_name(g_state->names[0]);
}

ProcessState& process_state() { return *g_state; }

void inherit_thread_attributes(sched::Thread& child, const sched::Thread& parent) {
  inherit_signals(child, parent);
  g_state->names[sched::index_of(child.id)] = g_state->names[sched::index_of(parent.id)];
}

// The first end counts; later ones come from threads that had not noticed yet.
void mark_ended(int status, int signal) {
  if (!g_outcome.ended) {
    g_outcome.ended = true;
    g_outcome.status = status & 0xff;
    g_outcome.signal = signal;
  }
  sched::stop();
}

void mark_daemonise() {
  g_outcome.daemonise = true;
  sched::stop();
}

bool ended() { return g_outcome.ended; }
ProcessOutcome process_outcome() { return g_outcome; }
void reset_process_outcome() { g_outcome = {}; }

void end_process(int status, int signal) {
  fail_if_handling_fault();
  {
    sched::OrderedGuard guard(g_state->version, sched::Tag::kTable);
    mark_ended(status, signal);
  }
  sched::abandon();
}

// A replica is one process. A server that starts by going into the background is started again, as
// the child that it wants to become.
long fork_like(const Call& call) {
  if (!wants_own_memory(call) || !starting_up()) {
    count_unhandled("fork");
    return -EAGAIN;
  }
  if (deck().boot.daemonised != 0) {
    note_child_tid(call);
    return 0;
  }
  {
    sched::Guard guard;
    mark_daemonise();
  }
  sched::abandon();
}

long sys_fork(const Call& call) { return fork_like(call); }

long sys_vfork(const Call&) {
  count_unhandled("fork");
  return -EAGAIN;
}

long sys_exit_group(const Call& call) { end_process(call.integer(0), 0); }

// ---- identity

long sys_getpid(const Call&) { return deck().boot.reported_pid; }
long sys_getppid(const Call&) { return deck().boot.reported_ppid; }

// As a server that its shell or service manager started: leader of its own group.
long sys_getpgrp(const Call&) { return deck().boot.reported_pid; }

long sys_getpgid(const Call& call) {
  const int pid = call.integer(0);
  return pid == 0 || pid == deck().boot.reported_pid ? deck().boot.reported_pid
                                                     : pass_through(call);
}

long sys_getsid(const Call& call) {
  const int pid = call.integer(0);
  if (pid != 0 && pid != deck().boot.reported_pid) return pass_through(call);
  if (g_state->session_leader) return deck().boot.reported_pid;
  return sys::call(SYS_getsid, 0).value();
}

long sys_setpgid(const Call&) { return 0; }

// Only what goes into the background leaves its terminal for good.
long sys_setsid(const Call& call) {
  g_state->session_leader = true;
  if (deck().boot.daemonised != 0) (void)pass_through(call);  // EPERM: it leads a session already
  return deck().boot.reported_pid;
}

}  // namespace evenkeel::kernel
