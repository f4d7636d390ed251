#include "runtime/kernel/object.h"

#include <sys/epoll.h>

#include "runtime/core/check.h"
#include "runtime/kernel/epoll.h"
#include "runtime/kernel/poll.h"
#include "runtime/kernel/state.h"

namespace evenkeel::kernel {

void init_object(Object& object, ObjectType type, const ObjectOps& ops, uint32_t flags) {
  object.type = type;
  object.references = 1;
  object.ops = &ops;
  object.flags = flags;
  object.order = &object.version;
}

void retain(Object& object) { ++object.references; }

void release(Object& object) {
  EVENKEEL_CHECK(object.references != 0);
  if (--object.references != 0) return;
  remove_watchers(object);
  if (object.ops->close != nullptr) object.ops->close(object);
}

void notify(Object& object, uint32_t events) {
  if (object.watchers != nullptr) mark_watchers(object, events);
  wake_pollers();
  // A listener's waiters each take one connection; on anything else all look again.
  sched::wake(key_of(object), object.type == ObjectType::kListener ? 1 : wire::kMaxThreads);
}

void join_order(Object& object, Object& set) {
  if (object.order == set.order) return;
  if (object.order == &object.version && object.watchers == nullptr) {
    object.order = set.order;
    return;
  }
  share_order(object);
  set.order = &state().shared_version;
}

void share_order(Object& object) {
  object.order = &state().shared_version;
  share_sets_of(object);
}

}  // namespace evenkeel::kernel
