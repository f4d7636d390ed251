#pragma once
// Ordered operations of the objects that are simple state machines: condition variables, rwlocks,
// semaphores, barriers, once. Every operation on such an object, also one that fails, blocks or
// releases, runs under the kernel lock in the order of the object's version word, so state and wait
// queue are the same in all replicas, and a waiter is granted what it wants by who makes it free.
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sync/deadline.h"
#include "runtime/sync/self.h"

namespace evenkeel::sync {

class Section {
 public:
  Section(uint32_t& version, sched::Tag tag) : held_(sched::started()) {
    if (held_) sched::lock_ordered(version, tag);
  }
  ~Section() {
    if (held_) sched::unlock();
  }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  // After a park(), for one who has done his ordered operation already.
  void enter_unordered() {
    sched::lock();
    held_ = true;
  }
  void leave() {
    if (held_) sched::unlock();
    held_ = false;
  }
  // Queues the caller on `key` and gives up the lock and the processor until somebody wakes it.
  // Afterwards the object may be gone: a waiter that was granted what it wanted is not needed by
  // it.
  sched::Wake park(wire::WaitKind kind, const char* object, uint64_t key, Deadline deadline) {
    if (!held_) {
      if (deadline.for_ever()) block_alone(object, key);
      return sched::Wake::kTimeout;
    }
    sched::enqueue_waiter(sched::self(), key, deadline.monotonic_ns);
    sched::describe_wait(sched::self(), kind);
    return suspend();
  }
  // The caller is queued already.
  sched::Wake suspend() {
    held_ = false;
    sched::suspend_locked();
    return sched::self().wake;
  }

 private:
  bool held_;
};

// A refused operation is likely to be tried again at once: let the thread run that it waits for.
inline int refuse(Section& section, int error) {
  section.leave();
  if (sched::started() && sched::serial()) sched::yield();
  return error;
}

}  // namespace evenkeel::sync
