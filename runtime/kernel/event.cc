// eventfd and timerfd.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/byte_queue.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

constexpr uint64_t kSecond_ns = 1'000'000'000;

struct Eventfd {
  Object object;
  uint64_t count;
  bool semaphore;
};

uint32_t event_readiness(const Object& object) {
  const auto& event = reinterpret_cast<const Eventfd&>(object);
  return (event.count != 0 ? uint32_t{EPOLLIN} : 0) |
         (event.count < UINT64_MAX - 1 ? uint32_t{EPOLLOUT} : 0);
}

long event_read(Object& object, const Buffers& out, uint32_t) {
  auto& event = reinterpret_cast<Eventfd&>(object);
  if (out.total() < sizeof(uint64_t)) return -EINVAL;
  if (event.count == 0) return -EAGAIN;
  const uint64_t value = event.semaphore ? 1 : event.count;
  event.count -= value;
  scatter(out, 0, &value, sizeof value);
  notify(object, EPOLLOUT);
  return sizeof value;
}

long event_write(Object& object, const Buffers& in) {
  auto& event = reinterpret_cast<Eventfd&>(object);
  if (in.count == 0 || in.vectors[0].iov_len < sizeof(uint64_t)) return -EINVAL;
  uint64_t value = 0;
  std::memcpy(&value, in.vectors[0].iov_base, sizeof value);
  if (value == UINT64_MAX) return -EINVAL;
  if (value > UINT64_MAX - 1 - event.count) return -EAGAIN;
  event.count += value;
  if (value != 0) notify(object, EPOLLIN);
  return sizeof value;
}

void event_close(Object& object) { arena::destroy(reinterpret_cast<Eventfd*>(&object)); }

constexpr ObjectOps kEventOps{event_readiness, event_read, event_write, event_close};

struct Timerfd {
  Object object;
  sched::Timer timer;
  int clock;
  uint64_t interval_ns;
  uint64_t expirations;
};

uint32_t timer_readiness(const Object& object) {
  return reinterpret_cast<const Timerfd&>(object).expirations != 0 ? uint32_t{EPOLLIN} : 0;
}

long timer_read(Object& object, const Buffers& out, uint32_t) {
  auto& timer = reinterpret_cast<Timerfd&>(object);
  if (out.total() < sizeof(uint64_t)) return -EINVAL;
  if (timer.expirations == 0) return -EAGAIN;
  scatter(out, 0, &timer.expirations, sizeof timer.expirations);
  timer.expirations = 0;
  return sizeof(uint64_t);
}

void timer_close(Object& object) {
  auto& timer = reinterpret_cast<Timerfd&>(object);
  sched::disarm(timer.timer);
  arena::destroy(&timer);
}

constexpr ObjectOps kTimerOps{timer_readiness, timer_read, nullptr, timer_close};

void expire(sched::Timer& expired) {
  auto* bytes = reinterpret_cast<char*>(&expired);
  auto& timer = *reinterpret_cast<Timerfd*>(bytes - offsetof(Timerfd, timer));
  const uint64_t now = sched::batch_time().monotonic_ns;
  uint64_t count = 1;
  if (timer.interval_ns != 0) {
    count += (now - expired.deadline_ns) / timer.interval_ns;
    sched::arm(expired, expired.deadline_ns + count * timer.interval_ns);
  }
  timer.expirations += count;
  notify(timer.object, EPOLLIN);
}

uint64_t to_ns(const timespec& t) {
  return static_cast<uint64_t>(t.tv_sec) * kSecond_ns + static_cast<uint64_t>(t.tv_nsec);
}
timespec to_timespec(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecond_ns), static_cast<long>(ns % kSecond_ns)};
}

void read_setting(const Timerfd& timer, itimerspec& out) {
  const uint64_t now = sched::batch_time().monotonic_ns;
  const bool armed = timer.timer.position != 0;
  const uint64_t left = armed && timer.timer.deadline_ns > now ? timer.timer.deadline_ns - now : 0;
  out.it_value = to_timespec(left);
  out.it_interval = to_timespec(timer.interval_ns);
}

uint64_t absolute_to_monotonic(const Timerfd& timer, uint64_t when) {
  const auto& now = sched::batch_time();
  if (timer.clock != CLOCK_REALTIME && timer.clock != CLOCK_REALTIME_ALARM) return when;
  return when > now.realtime_ns ? now.monotonic_ns + (when - now.realtime_ns) : now.monotonic_ns;
}

bool valid(const itimerspec& setting) {
  const auto good = [](const timespec& t) {
    return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < long{kSecond_ns};
  };
  return good(setting.it_value) && good(setting.it_interval);
}

}  // namespace

long sys_eventfd2(const Call& call) {
  constexpr int kKnown = EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK;
  const int flags = call.integer(1);
  if ((flags & ~kKnown) != 0) return -EINVAL;
  sched::lock();
  auto* event = arena::create<Eventfd>();
  init_object(event->object, ObjectType::kEventfd, kEventOps,
              02 | static_cast<uint32_t>(flags & EFD_NONBLOCK));
  event->count = call.word(0);
  event->semaphore = (flags & EFD_SEMAPHORE) != 0;
  sched::unlock();
  return install(event->object, (flags & EFD_CLOEXEC) != 0);
}

long sys_eventfd(const Call& call) {
  return sys_eventfd2(Call{SYS_eventfd2, {call.args[0]}, nullptr});
}

long sys_timerfd_create(const Call& call) {
  constexpr int kKnown = TFD_CLOEXEC | TFD_NONBLOCK;
  const int flags = call.integer(1);
  if ((flags & ~kKnown) != 0) return -EINVAL;
  sched::lock();
  auto* timer = arena::create<Timerfd>();
  init_object(timer->object, ObjectType::kTimerfd, kTimerOps,
              02 | static_cast<uint32_t>(flags & TFD_NONBLOCK));
  timer->clock = call.integer(0);
  timer->timer.expire = expire;
  timer->timer.tie = sched::kTimerfdTie + static_cast<uint32_t>(state().next_timerfd++);
  sched::unlock();
  return install(timer->object, (flags & TFD_CLOEXEC) != 0);
}

long sys_timerfd_settime(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  auto* timer = object_as<Timerfd>(call.integer(0), ObjectType::kTimerfd);
  const auto* setting = call.pointer<const itimerspec>(2);
  if (timer == nullptr || !valid(*setting)) return -EINVAL;
  sched::OrderedGuard guard(*timer->object.order, sched::Tag::kObject);
  if (auto* old = call.pointer<itimerspec>(3)) read_setting(*timer, *old);
  sched::disarm(timer->timer);
  timer->interval_ns = to_ns(setting->it_interval);
  timer->expirations = 0;
  const uint64_t value = to_ns(setting->it_value);
  if (value == 0) return 0;
  const bool absolute = (call.integer(1) & TFD_TIMER_ABSTIME) != 0;
  sched::arm(timer->timer, absolute ? absolute_to_monotonic(*timer, value) : deadline_after(value));
  return 0;
}

long sys_timerfd_gettime(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  auto* timer = object_as<Timerfd>(call.integer(0), ObjectType::kTimerfd);
  if (timer == nullptr) return -EINVAL;
  sched::OrderedGuard guard(*timer->object.order, sched::Tag::kObject);
  read_setting(*timer, *call.pointer<itimerspec>(1));
  return 0;
}

}  // namespace evenkeel::kernel
