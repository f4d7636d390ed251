#include "runtime/kernel/epoll.h"

#include <sys/epoll.h>

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/kernel/connection.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/poll.h"
#include "runtime/kernel/signals.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lanes.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {

using sched::OrderedGuard;
using sched::Tag;

struct Epoll;

struct EpollItem {
  Epoll* set;
  Object* object;
  EpollItem* next_watcher;  // of the same object
  EpollItem* next_in_set;
  EpollItem* next_ready;
  EpollItem* previous_ready;
  uint64_t data;
  uint32_t events;  // as given to epoll_ctl
  int fd;           // under which the object was added: part of the item's identity
  bool queued;      // in the ready list
  bool disabled;    // one-shot, already reported
};

struct Epoll {
  Object object;
  EpollItem* items;
  EpollItem* ready_head;
  EpollItem* ready_tail;
};

namespace {

constexpr uint32_t kAlwaysReported = EPOLLERR | EPOLLHUP;

uint32_t ready_events(const EpollItem& item) {
  if (item.disabled || item.object->ops->readiness == nullptr) return 0;
  return item.object->ops->readiness(*item.object) & (item.events | kAlwaysReported);
}

void dequeue(EpollItem& item) {
  if (!item.queued) return;
  item.queued = false;
  Epoll& set = *item.set;
  (item.previous_ready != nullptr ? item.previous_ready->next_ready : set.ready_head) =
      item.next_ready;
  (item.next_ready != nullptr ? item.next_ready->previous_ready : set.ready_tail) =
      item.previous_ready;
}

void enqueue(EpollItem& item) {
  item.queued = true;
  Epoll& set = *item.set;
  item.next_ready = nullptr;
  item.previous_ready = set.ready_tail;
  (set.ready_tail != nullptr ? set.ready_tail->next_ready : set.ready_head) = &item;
  set.ready_tail = &item;
}

void mark(EpollItem& item) {
  if (item.queued || item.disabled) return;
  enqueue(item);
  Object& set = item.set->object;
  sched::wake(key_of(set), 1);
  wake_pollers();
  if (set.watchers != nullptr) mark_watchers(set, EPOLLIN);
}

void destroy_item(EpollItem& item) {
  dequeue(item);
  EpollItem** link = &item.object->watchers;
  while (*link != &item) link = &(*link)->next_watcher;
  *link = item.next_watcher;
  --item.object->epoll_sets;
  link = &item.set->items;
  while (*link != &item) link = &(*link)->next_in_set;
  *link = item.next_in_set;
  arena::destroy(&item);
}

uint32_t set_readiness(const Object& object) {
  const auto& set = reinterpret_cast<const Epoll&>(object);
  for (const EpollItem* item = set.ready_head; item != nullptr; item = item->next_ready) {
    if (ready_events(*item) != 0) return EPOLLIN | EPOLLRDNORM;
  }
  return 0;
}

void close_set(Object& object) {
  auto& set = reinterpret_cast<Epoll&>(object);
  while (set.items != nullptr) destroy_item(*set.items);
  arena::destroy(&set);
}

constexpr ObjectOps kOps{set_readiness, nullptr, nullptr, close_set};

EpollItem* find_item(const Epoll& set, const Object& object, int fd) {
  EpollItem* item = object.watchers;
  while (item != nullptr && (item->set != &set || item->fd != fd)) item = item->next_watcher;
  return item;
}

void arm_item(EpollItem& item, const epoll_event& event) {
  item.events = event.events;
  item.data = event.data.u64;
  item.disabled = false;
  if (ready_events(item) != 0) mark(item);
}

// Whether `object` can be reached from `set` through nested sets, which would make a loop.
bool reaches(const Object& object, const Object& set, int depth) {
  constexpr int kMaxNesting = 5;  // as the kernel's EP_MAX_NESTS
  if (&object == &set || depth > kMaxNesting) return true;
  if (object.type != ObjectType::kEpoll) return false;
  const auto& inner = reinterpret_cast<const Epoll&>(object);
  for (const EpollItem* item = inner.items; item != nullptr; item = item->next_in_set) {
    if (reaches(*item->object, set, depth + 1)) return true;
  }
  return false;
}

long add_item(Epoll& set, Object& object, int fd, const epoll_event& event) {
  if (find_item(set, object, fd) != nullptr) return -EEXIST;
  if (object.type == ObjectType::kFile) return -EPERM;
  if (reaches(object, set.object, 0)) return -ELOOP;
  join_order(object, set.object);
  auto* item = arena::create<EpollItem>();
  item->set = &set;
  item->object = &object;
  item->fd = fd;
  item->next_watcher = object.watchers;
  object.watchers = item;
  ++object.epoll_sets;
  item->next_in_set = set.items;
  set.items = item;
  arm_item(*item, event);
  return 0;
}

// What one ready item reports, and whether it stays in the list.
uint32_t collect_item(EpollItem& item) {
  dequeue(item);
  const uint32_t events = ready_events(item);
  if (events == 0) return 0;
  if ((item.events & EPOLLONESHOT) != 0) {
    item.disabled = true;
  } else if ((item.events & EPOLLET) == 0) {
    enqueue(item);  // level: looked at again next time, behind the others
  }
  return events;
}

int collect(Epoll& set, epoll_event* out, int limit) {
  int count = 0;
  const EpollItem* last = set.ready_tail;
  bool more = last != nullptr;
  while (more && count < limit) {
    EpollItem& item = *set.ready_head;
    more = &item != last;
    const uint32_t events = collect_item(item);
    if (events == 0) continue;
    out[count].events = events;
    out[count].data.u64 = item.data;
    ++count;
  }
  return count;
}

long wait_for_events(Epoll& set, epoll_event* out, int limit, uint64_t deadline_ns) {
  if (limit <= 0) return -EINVAL;
  sched::end_input();
  bool expired = deadline_ns == 0;
  for (;;) {
    sched::lock_ordered(*set.object.order, Tag::kObject);
    const int count = collect(set, out, limit);
    if (count != 0 || expired) {
      if (set.ready_head != nullptr) sched::wake(key_of(set.object), 1);  // others may go on
      sched::unlock();
      return count;
    }
    retain(set.object);
    const Waited waited = wait_on(key_of(set.object), deadline_ns, false);
    {
      sched::Guard guard;
      release(set.object);
    }
    if (waited == Waited::kInterrupted) return -EINTR;
    expired = waited == Waited::kTimeout;
  }
}

long wait_call(const Call& call, uint64_t deadline_ns) {
  auto* set = object_as<Epoll>(call.integer(0), ObjectType::kEpoll);
  if (set == nullptr) return object_of(call.integer(0)) != nullptr ? -EINVAL : -EBADF;
  return wait_for_events(*set, call.pointer<epoll_event>(1), call.integer(2), deadline_ns);
}

uint64_t deadline_of_ms(int timeout_ms) {
  if (timeout_ms < 0) return sched::kNoDeadline;
  return timeout_ms == 0 ? 0 : deadline_after(static_cast<uint64_t>(timeout_ms) * 1'000'000);
}

}  // namespace

void mark_watchers(Object& object, uint32_t events) {
  for (EpollItem* item = object.watchers; item != nullptr; item = item->next_watcher) {
    if (((item->events | kAlwaysReported) & events) != 0) mark(*item);
  }
}

void remove_watchers(Object& object) {
  while (object.watchers != nullptr) destroy_item(*object.watchers);
}

void share_sets_of(Object& object) {
  for (EpollItem* item = object.watchers; item != nullptr; item = item->next_watcher) {
    item->set->object.order = &state().shared_version;
  }
}

long sys_epoll_create1(const Call& call) {
  const uint32_t flags = call.word(0);
  if ((flags & ~static_cast<uint32_t>(EPOLL_CLOEXEC)) != 0) return -EINVAL;
  sched::lock();
  auto* set = arena::create<Epoll>();
  init_object(set->object, ObjectType::kEpoll, kOps, 02 /* O_RDWR */);
  sched::unlock();
  return install(set->object, (flags & EPOLL_CLOEXEC) != 0);
}

long sys_epoll_create(const Call& call) {
  if (call.integer(0) <= 0) return -EINVAL;
  return sys_epoll_create1(Call{});
}

long sys_epoll_ctl(const Call& call) {
  const int operation = call.integer(1);
  const int fd = call.integer(2);
  const auto* event = call.pointer<const epoll_event>(3);
  Object* object = object_of(fd);
  if (object == nullptr || object_of(call.integer(0)) == nullptr) return -EBADF;
  auto* set = object_as<Epoll>(call.integer(0), ObjectType::kEpoll);
  if (set == nullptr || object == &set->object) return -EINVAL;
  if (event == nullptr && operation != EPOLL_CTL_DEL) return -EFAULT;
  sched::return_lane_of(channel_of(fd));  // its next turn may be another thread's
  OrderedGuard guard(*set->object.order, Tag::kObject);
  if (operation == EPOLL_CTL_ADD) return add_item(*set, *object, fd, *event);
  EpollItem* item = find_item(*set, *object, fd);
  if (item == nullptr) return -ENOENT;
  if (operation == EPOLL_CTL_DEL) {
    destroy_item(*item);
    return 0;
  }
  if (operation != EPOLL_CTL_MOD) return -EINVAL;
  arm_item(*item, *event);
  return 0;
}

long sys_epoll_wait(const Call& call) { return wait_call(call, deadline_of_ms(call.integer(3))); }

long sys_epoll_pwait(const Call& call) {
  const SignalMaskScope scope(call.pointer<const uint64_t>(4));
  return sys_epoll_wait(call);
}

long sys_epoll_pwait2(const Call& call) {
  const SignalMaskScope scope(call.pointer<const uint64_t>(4));
  const auto* timeout = call.pointer<const timespec>(3);
  if (timeout == nullptr) return wait_call(call, sched::kNoDeadline);
  const uint64_t ns = static_cast<uint64_t>(timeout->tv_sec) * 1'000'000'000 +
                      static_cast<uint64_t>(timeout->tv_nsec);
  return wait_call(call, ns == 0 ? 0 : deadline_after(ns));
}

}  // namespace evenkeel::kernel
