// signalfd: pending signals as records to read.
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/kernel/byte_queue.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/signal_state.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::kernel {
namespace {

using signals::Signalfd;
using signals::state;

// Signals for single threads are not seen by poll: they show to their own thread only, and
// readiness must not depend on who asks. read() finds them.
uint32_t signal_readiness(const Object& object) {
  const auto& fd = reinterpret_cast<const Signalfd&>(object);
  return (state().process_pending & fd.mask) != 0 ? uint32_t{EPOLLIN} : 0;
}

signalfd_siginfo record_of(const siginfo_t& info) {
  signalfd_siginfo record = {};
  record.ssi_signo = static_cast<uint32_t>(info.si_signo);
  record.ssi_errno = info.si_errno;
  record.ssi_code = info.si_code;
  record.ssi_pid = static_cast<uint32_t>(info.si_pid);
  record.ssi_uid = info.si_uid;
  record.ssi_int = info.si_int;
  record.ssi_ptr = reinterpret_cast<uint64_t>(info.si_ptr);
  return record;
}

long signal_read(Object& object, const Buffers& out, uint32_t) {
  const auto& fd = reinterpret_cast<const Signalfd&>(object);
  const size_t room = out.total() / sizeof(signalfd_siginfo);
  if (room == 0) return -EINVAL;
  size_t count = 0;
  siginfo_t info = {};
  while (count < room && signals::take(sched::self(), fd.mask, info)) {
    const signalfd_siginfo record = record_of(info);
    scatter(out, count * sizeof record, &record, sizeof record);
    ++count;
  }
  return count == 0 ? -EAGAIN : static_cast<long>(count * sizeof(signalfd_siginfo));
}

void signal_close(Object& object) {
  auto* fd = reinterpret_cast<Signalfd*>(&object);
  Signalfd** link = &state().descriptors;
  while (*link != fd) link = &(*link)->next;
  *link = fd->next;
  arena::destroy(fd);
}

constexpr ObjectOps kSignalOps{signal_readiness, signal_read, nullptr, signal_close};

// Its readiness changes in the kernel's order of signals, which is nobody else's domain.
long create_signalfd(uint64_t mask, int flags) {
  Signalfd* fd = nullptr;
  {
    sched::OrderedGuard guard(state().version, sched::Tag::kTable);
    fd = arena::create<Signalfd>();
    init_object(fd->object, ObjectType::kSignalfd, kSignalOps,
                static_cast<uint32_t>(flags & SFD_NONBLOCK));
    fd->mask = mask;
    fd->next = state().descriptors;
    state().descriptors = fd;
  }
  return install(fd->object, (flags & SFD_CLOEXEC) != 0);
}

long change_signalfd(int number, uint64_t mask) {
  auto* fd = object_as<Signalfd>(number, ObjectType::kSignalfd);
  if (fd == nullptr) return object_of(number) == nullptr ? -EBADF : -EINVAL;
  sched::OrderedGuard guard(state().version, sched::Tag::kTable);
  fd->mask = mask;
  if (signal_readiness(fd->object) != 0) notify(fd->object, EPOLLIN);
  return number;
}

long open_signalfd(const Call& call, int flags) {
  if (call.args[2] != sizeof(uint64_t)) return -EINVAL;
  if ((flags & ~(SFD_NONBLOCK | SFD_CLOEXEC)) != 0) return -EINVAL;
  const uint64_t mask = *call.pointer<const uint64_t>(1) & ~signals::kUnblockable;
  return call.integer(0) == -1 ? create_signalfd(mask, flags)
                               : change_signalfd(call.integer(0), mask);
}

}  // namespace

long sys_signalfd(const Call& call) { return open_signalfd(call, 0); }
long sys_signalfd4(const Call& call) { return open_signalfd(call, call.integer(3)); }

}  // namespace evenkeel::kernel
