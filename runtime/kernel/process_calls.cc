// Credentials, scheduling, prctl and what a replica cannot have.
#include <asm/prctl.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/process_state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/context.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

// Executes a call that fills `bytes` at argument i.
long pass_filling(const Call& call, int i, size_t bytes) {
  prepare_kernel_write(call.pointer<void>(i), bytes);
  return pass_through(call);
}

// Credentials belong to kernel threads. While there is one, changing its changes the server's; the
// carriers that come later inherit them.
long pass_credentials(const Call& call) {
  if (sched::carrier_count() <= 1) return pass_through(call);
  count_unhandled("change of credentials after start-up");
  return -EPERM;
}

long pass_three_ids(const Call& call) {
  for (int i = 0; i < 3; ++i) prepare_kernel_write(call.pointer<void>(i), sizeof(uint32_t));
  return pass_through(call);
}

bool is_own_thread(int tid) {
  if (tid == 0) return true;
  sched::Guard guard;
  return thread_of_tid(static_cast<uint32_t>(tid)) != nullptr;
}

// Every thread of the server runs where and as the carriers do.
long accept_for_own_thread(int tid) { return is_own_thread(tid) ? 0 : -ESRCH; }

Call about_self(const Call& call, int i) {
  Call changed = call;
  if (is_own_thread(call.integer(i))) changed.args[i] = 0;
  return changed;
}

// What it names is the thread, which is the kernel's to know only for the carriers.
long name_call(const Call& call) {
  ThreadName& name = process_state().names[sched::index_of(sched::self().id)];
  auto* text = call.pointer<char>(1);
  if (call.integer(0) == PR_GET_NAME) {
    std::memcpy(text, name.text, sizeof name.text);
    return 0;
  }
  ThreadName wanted = {};
  for (size_t i = 0; i + 1 < sizeof wanted.text && text[i] != '\0'; ++i) wanted.text[i] = text[i];
  name = wanted;
  return 0;
}

}  // namespace

void init_name(ThreadName& name) {
  sys::call(SYS_prctl, PR_GET_NAME, sys::arg(name.text)).ignore();  // cannot fail
}

long sys_prctl(const Call& call) {
  switch (call.integer(0)) {
    case PR_SET_NAME:
    case PR_GET_NAME:
      return name_call(call);
    case PR_SET_PDEATHSIG:  // a replica's life is the coordinator's business
    case PR_SET_TIMERSLACK:
      return 0;
    case PR_SET_DUMPABLE:
    case PR_GET_DUMPABLE:
    case PR_GET_NO_NEW_PRIVS:
    case PR_CAPBSET_READ:
    case PR_GET_KEEPCAPS:
    case PR_GET_SECUREBITS:
    case PR_GET_TIMERSLACK:
      return pass_through(call);
    case PR_SET_KEEPCAPS:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT:
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_SECUREBITS:
      return pass_credentials(call);
    case PR_SET_SECCOMP:
    case PR_SET_SYSCALL_USER_DISPATCH:
      count_unhandled("prctl that filters system calls");
      return -EINVAL;
    default:
      count_unhandled("prctl");
      return pass_through(call);
  }
}

long sys_arch_prctl(const Call& call) {
  switch (call.integer(0)) {
    case ARCH_SET_FS:
      sched::self().fs_base = call.args[1];
      sched::set_fs_base(call.args[1]);
      return 0;
    case ARCH_GET_FS:
      *call.pointer<uint64_t>(1) = sched::self().fs_base;
      return 0;
    case ARCH_SET_GS:
    case ARCH_GET_GS:
      count_unhandled("arch_prctl of gs");  // the carrier's
      return -EPERM;
    default:
      return pass_through(call);
  }
}

// ---- credentials

long sys_setuid(const Call& call) { return pass_credentials(call); }
long sys_setgid(const Call& call) { return pass_credentials(call); }
long sys_setreuid(const Call& call) { return pass_credentials(call); }
long sys_setregid(const Call& call) { return pass_credentials(call); }
long sys_setresuid(const Call& call) { return pass_credentials(call); }
long sys_setresgid(const Call& call) { return pass_credentials(call); }
long sys_setfsuid(const Call& call) { return pass_credentials(call); }
long sys_setfsgid(const Call& call) { return pass_credentials(call); }
long sys_setgroups(const Call& call) { return pass_credentials(call); }
long sys_capset(const Call& call) { return pass_credentials(call); }

long sys_capget(const Call& call) {
  constexpr size_t kHeader = 8;  // __user_cap_header_struct
  constexpr size_t kData = 24;   // two of __user_cap_data_struct, version 3
  auto* header = call.pointer<int32_t>(0);
  prepare_kernel_write(header, kHeader);
  if (call.args[1] != 0) prepare_kernel_write(call.pointer<void>(1), kData);
  if (header[1] == deck().boot.reported_pid) {
    header[1] = 0;
    const long result = pass_through(call);
    header[1] = deck().boot.reported_pid;
    return result;
  }
  return pass_through(call);
}

long sys_getresuid(const Call& call) { return pass_three_ids(call); }
long sys_getresgid(const Call& call) { return pass_three_ids(call); }
long sys_getgroups(const Call& call) {
  const int count = call.integer(0);
  return pass_filling(call, 1, count > 0 ? static_cast<size_t>(count) * sizeof(uint32_t) : 0);
}
long sys_uname(const Call& call) { return pass_filling(call, 0, sizeof(utsname)); }

// ---- scheduling

long sys_sched_yield(const Call&) {
  sched::yield();
  return 0;
}
long sys_sched_getaffinity(const Call& call) {
  return pass_filling(about_self(call, 0), 2, call.args[1]);
}
long sys_sched_getparam(const Call& call) {
  return pass_filling(about_self(call, 0), 1, sizeof(int));
}
long sys_sched_getscheduler(const Call& call) { return pass_through(about_self(call, 0)); }
long sys_sched_setaffinity(const Call& call) { return accept_for_own_thread(call.integer(0)); }
long sys_sched_setscheduler(const Call& call) { return accept_for_own_thread(call.integer(0)); }
long sys_sched_setparam(const Call& call) { return accept_for_own_thread(call.integer(0)); }
long sys_sched_setattr(const Call& call) { return accept_for_own_thread(call.integer(0)); }
long sys_setpriority(const Call&) { return 0; }
long sys_getpriority(const Call& call) { return pass_through(about_self(call, 1)); }
long sys_ioprio_set(const Call&) { return 0; }

// ---- what a replica cannot have

long sys_execve(const Call&) {
  count_unhandled("exec");
  return -EACCES;
}
long sys_execveat(const Call&) {
  count_unhandled("exec");
  return -EACCES;
}
// There are no children, see fork_like().
long sys_wait4(const Call&) { return -ECHILD; }
long sys_waitid(const Call&) { return -ECHILD; }

}  // namespace evenkeel::kernel
