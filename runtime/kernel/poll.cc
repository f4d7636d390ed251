#include "runtime/kernel/poll.h"

#include <poll.h>
#include <sys/select.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/signals.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

uint64_t poll_key() { return reinterpret_cast<uint64_t>(&state().pollers); }

// Looks once; lock held. Returns how many descriptors have events.
long look(pollfd* fds, uint64_t count) {
  long ready = 0;
  for (uint64_t i = 0; i < count; ++i) {
    fds[i].revents = 0;
    if (fds[i].fd < 0) continue;
    Object* object = object_of(fds[i].fd);
    if (object == nullptr) {
      fds[i].revents = POLLNVAL;
    } else {
      share_order(*object);
      const uint32_t events =
          object->ops->readiness != nullptr ? object->ops->readiness(*object) : POLLIN | POLLOUT;
      const uint32_t asked = static_cast<uint16_t>(fds[i].events) | POLLERR | POLLHUP;
      fds[i].revents = static_cast<short>(events & asked);
    }
    if (fds[i].revents != 0) ++ready;
  }
  return ready;
}

long poll_until(pollfd* fds, uint64_t count, uint64_t deadline_ns) {
  bool expired = deadline_ns == 0;
  sched::end_input();
  for (;;) {
    sched::lock_ordered(state().shared_version, sched::Tag::kObject);
    const long ready = look(fds, count);
    if (ready != 0 || expired) {
      sched::unlock();
      return ready;
    }
    ++state().pollers;
    const Waited waited = wait_on(poll_key(), deadline_ns, false);
    if (waited == Waited::kInterrupted) return -EINTR;
    expired = waited == Waited::kTimeout;
  }
}

uint64_t deadline_of(const timespec* timeout) {
  if (timeout == nullptr) return sched::kNoDeadline;
  const uint64_t ns = static_cast<uint64_t>(timeout->tv_sec) * 1'000'000'000 +
                      static_cast<uint64_t>(timeout->tv_nsec);
  return ns == 0 ? 0 : deadline_after(ns);
}

// What Linux leaves in the caller's timeout: the time that was not needed.
timespec rest_until(uint64_t deadline_ns) {
  constexpr uint64_t kSecond_ns = 1'000'000'000;
  const uint64_t now = sched::batch_time().monotonic_ns;
  const uint64_t rest = deadline_ns > now ? deadline_ns - now : 0;
  return {static_cast<time_t>(rest / kSecond_ns), static_cast<long>(rest % kSecond_ns)};
}

bool valid_timeout(const timespec* timeout) {
  if (timeout == nullptr) return true;
  return timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000;
}

// select() in terms of poll(): FD_SETSIZE descriptors at most.
constexpr int kMaxSelect = FD_SETSIZE;

struct SelectSets {
  fd_set* read;
  fd_set* write;
  fd_set* except;
};

bool is_set(const fd_set* set, int fd) { return set != nullptr && FD_ISSET(fd, set); }

short events_of(const SelectSets& sets, int fd) {
  int events = 0;
  if (is_set(sets.read, fd)) events |= POLLIN;
  if (is_set(sets.write, fd)) events |= POLLOUT;
  if (is_set(sets.except, fd)) events |= POLLPRI;
  return static_cast<short>(events);
}

long report(fd_set* set, int fd, bool ready) {
  if (!is_set(set, fd)) return 0;
  if (ready) return 1;
  FD_CLR(fd, set);
  return 0;
}

long select_until(int count, const SelectSets& sets, uint64_t deadline_ns) {
  if (count < 0) return -EINVAL;
  const int limit = count < kMaxSelect ? count : kMaxSelect;
  // 8 bytes x 1024 = 8 KiB: on the arena rather than on the application's stack.
  sched::lock();
  auto* fds = static_cast<pollfd*>(arena::allocate(kMaxSelect * sizeof(pollfd)));
  sched::unlock();
  uint64_t used = 0;
  for (int fd = 0; fd < limit; ++fd) {
    const short events = events_of(sets, fd);
    if (events != 0) fds[used++] = {fd, events, 0};
  }
  long result = poll_until(fds, used, deadline_ns);
  if (result >= 0) {
    result = 0;
    for (uint64_t i = 0; i < used; ++i) {
      if ((fds[i].revents & POLLNVAL) != 0) {
        result = -EBADF;
        break;
      }
      const int events = fds[i].revents;
      result += report(sets.read, fds[i].fd, (events & (POLLIN | POLLHUP | POLLERR)) != 0);
      result += report(sets.write, fds[i].fd, (events & (POLLOUT | POLLERR)) != 0);
      result += report(sets.except, fds[i].fd, (events & POLLPRI) != 0);
    }
  }
  sched::lock();
  arena::release(fds, kMaxSelect * sizeof(pollfd));
  sched::unlock();
  return result;
}

SelectSets sets_of(const Call& call) {
  return {call.pointer<fd_set>(1), call.pointer<fd_set>(2), call.pointer<fd_set>(3)};
}

}  // namespace

void wake_pollers() {
  if (state().pollers == 0) return;
  state().pollers = 0;
  sched::wake(poll_key(), wire::kMaxThreads);
}

long sys_poll(const Call& call) {
  const int timeout_ms = call.integer(2);
  const uint64_t deadline_ns = timeout_ms < 0 ? sched::kNoDeadline
                               : timeout_ms == 0
                                   ? 0
                                   : deadline_after(static_cast<uint64_t>(timeout_ms) * 1'000'000);
  return poll_until(call.pointer<pollfd>(0), call.args[1], deadline_ns);
}

long sys_ppoll(const Call& call) {
  auto* timeout = call.pointer<timespec>(2);
  if (!valid_timeout(timeout)) return -EINVAL;
  const SignalMaskScope scope(call.pointer<const uint64_t>(3));
  const uint64_t deadline_ns = deadline_of(timeout);
  const long result = poll_until(call.pointer<pollfd>(0), call.args[1], deadline_ns);
  if (timeout != nullptr) *timeout = rest_until(deadline_ns);
  return result;
}

long sys_select(const Call& call) {
  auto* timeout = call.pointer<timeval>(4);
  if (timeout == nullptr) return select_until(call.integer(0), sets_of(call), sched::kNoDeadline);
  if (timeout->tv_sec < 0 || timeout->tv_usec < 0) return -EINVAL;
  const timespec precise{timeout->tv_sec + timeout->tv_usec / 1'000'000,
                         timeout->tv_usec % 1'000'000 * 1000};
  const uint64_t deadline_ns = deadline_of(&precise);
  const long result = select_until(call.integer(0), sets_of(call), deadline_ns);
  const timespec rest = rest_until(deadline_ns);
  *timeout = {rest.tv_sec, rest.tv_nsec / 1000};
  return result;
}

long sys_pselect6(const Call& call) {
  struct MaskArgument {
    const uint64_t* mask;
    uint64_t bytes;
  };
  const auto* mask = call.pointer<const MaskArgument>(5);
  auto* timeout = call.pointer<timespec>(4);
  if (!valid_timeout(timeout)) return -EINVAL;
  const SignalMaskScope scope(mask != nullptr ? mask->mask : nullptr);
  const uint64_t deadline_ns = deadline_of(timeout);
  const long result = select_until(call.integer(0), sets_of(call), deadline_ns);
  if (timeout != nullptr) *timeout = rest_until(deadline_ns);
  return result;
}

}  // namespace evenkeel::kernel
