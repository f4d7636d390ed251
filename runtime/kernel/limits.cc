// Resource limits and what has been used of them.
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/process_state.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

constexpr uint64_t kSecond_ns = 1'000'000'000;

uint32_t descriptors(const rlimit& limit) {
  return limit.rlim_cur < kMaxFds ? static_cast<uint32_t>(limit.rlim_cur) : uint32_t{kMaxFds};
}

bool may_raise(const rlimit& before, const rlimit& wanted) {
  return wanted.rlim_max <= before.rlim_max || sys::call(SYS_geteuid).value() == 0;
}

// Limits are remembered, not enforced: those on memory, processor time and descriptors would hit
// the runtime, whose share of them is larger than the server's. Exceptions: descriptors, which the
// virtual kernel counts itself, and core dumps.
long set_limit(uint32_t resource, const rlimit& wanted) {
  if (wanted.rlim_cur > wanted.rlim_max) return -EINVAL;
  sched::OrderedGuard guard(process_state().version, sched::Tag::kTable);
  rlimit& limit = process_state().limits[resource];
  if (!may_raise(limit, wanted)) return -EPERM;
  limit = wanted;
  if (resource == RLIMIT_NOFILE) set_fd_limit(descriptors(wanted));
  if (resource == RLIMIT_CORE) {
    sys::call(SYS_prlimit64, 0, RLIMIT_CORE, sys::arg(&wanted), 0).ignore();
  }
  return 0;
}

bool is_self(int pid) { return pid == 0 || pid == deck().boot.reported_pid; }

timeval to_timeval(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecond_ns), static_cast<suseconds_t>(ns % kSecond_ns / 1000)};
}

}  // namespace

void init_limits(rlimit* limits) {
  for (int i = 0; i < kLimits; ++i) {
    const auto asked = sys::call(SYS_prlimit64, 0, i, 0, sys::arg(&limits[i]));
    if (!asked.ok()) EVENKEEL_DIE("cannot read a resource limit", "errno", asked.err());
  }
  set_fd_limit(descriptors(limits[RLIMIT_NOFILE]));
}

long sys_getrlimit(const Call& call) {
  if (call.word(0) >= uint32_t{kLimits}) return -EINVAL;
  *call.pointer<rlimit>(1) = process_state().limits[call.word(0)];
  return 0;
}

long sys_setrlimit(const Call& call) {
  if (call.word(0) >= uint32_t{kLimits}) return -EINVAL;
  return set_limit(call.word(0), *call.pointer<const rlimit>(1));
}

long sys_prlimit64(const Call& call) {
  if (call.word(1) >= uint32_t{kLimits}) return -EINVAL;
  if (!is_self(call.integer(0))) {
    count_unhandled("prlimit of another process");
    return -EPERM;
  }
  const rlimit before = process_state().limits[call.word(1)];
  if (const auto* wanted = call.pointer<const rlimit>(2)) {
    const long result = set_limit(call.word(1), *wanted);
    if (result != 0) return result;
  }
  if (auto* out = call.pointer<rlimit>(3)) *out = before;
  return 0;
}

// Memory and faults differ between replicas and tell about the runtime rather than the server.
long sys_getrusage(const Call& call) {
  const int who = call.integer(0);
  if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD) return -EINVAL;
  rusage usage = {};
  if (who != RUSAGE_CHILDREN) usage.ru_utime = to_timeval(sched::batch_time().cpu_ns);
  *call.pointer<rusage>(1) = usage;
  return 0;
}

long sys_times(const Call& call) {
  constexpr uint64_t kTick_ns = kSecond_ns / 100;  // USER_HZ
  const auto ticks = [](uint64_t ns) { return static_cast<clock_t>(ns / kTick_ns); };
  if (auto* out = call.pointer<tms>(0)) *out = {ticks(sched::batch_time().cpu_ns), 0, 0, 0};
  return ticks(sched::batch_time().monotonic_ns);
}

long sys_sysinfo(const Call& call) {
  auto* info = call.pointer<struct sysinfo>(0);
  prepare_kernel_write(info, sizeof *info);
  const long result = pass_through(call);
  if (result != 0) return result;
  // Totals are the machine's; what changes by itself is made to stand still.
  info->uptime = static_cast<long>(sched::batch_time().monotonic_ns / kSecond_ns);
  std::memset(info->loads, 0, sizeof info->loads);
  info->freeram = info->totalram;
  info->freeswap = info->totalswap;
  info->freehigh = info->totalhigh;
  info->sharedram = info->bufferram = 0;
  info->procs = 1;
  return 0;
}

// Code that keeps data per processor gets one set of it: which processor runs a thread is chance.
long sys_getcpu(const Call& call) {
  if (auto* cpu = call.pointer<uint32_t>(0)) *cpu = 0;
  if (auto* node = call.pointer<uint32_t>(1)) *node = 0;
  return 0;
}

}  // namespace evenkeel::kernel
