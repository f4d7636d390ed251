#include "runtime/sync/deadlock.h"

#include <cstring>

#include "runtime/sync/owners.h"

namespace evenkeel::sync {
namespace {

using sched::Thread;
using sched::ThreadState;
using wire::WaitKind;

enum Colour : uint8_t {
  kUnseen = 0,
  kOnPath,
  kHarmless,  // no way from here leads to a deadlock
};

struct Search {
  uint8_t colour[wire::kMaxThreads];
  uint32_t next[wire::kMaxThreads];  // owners below this index have been followed
  uint16_t path[wire::kMaxThreads];  // from the root
  uint32_t depth;
};
constinit Search g{};

Thread& thread_at(uint32_t index) { return sched::thread(sched::ThreadId{index}); }

bool has_exited(const Thread& thread) {
  return thread.state == ThreadState::kFree || thread.state == ThreadState::kDead;
}
bool endless(const Thread& thread) {
  return thread.state == ThreadState::kWaiting && thread.timer.position == 0;
}
bool waits_for_owner(const Thread& thread) {
  return endless(thread) && sched::has_owner(thread.wait_kind);
}

uint32_t times_held(const Thread& thread, uint64_t object) {
  uint32_t times = 0;
  for (uint32_t i = 0; i < thread.held_count; ++i) times += thread.held[i] == object ? 1 : 0;
  return times;
}

// Whether what threads have noted accounts for all that is held: else somebody is unknown.
bool all_known(uint64_t object, uint32_t held) {
  uint32_t noted = 0;
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) noted += times_held(thread_at(i), object);
  return noted == held;
}

template <typename Is>
uint32_t first_from(uint32_t from, Is is) {
  for (uint32_t i = from; i < sched::thread_slots(); ++i) {
    if (is(thread_at(i))) return i;
  }
  return wire::kNoThread;
}

uint32_t single(uint32_t number, uint32_t from) {
  if (number == 0 || number > sched::thread_slots()) return wire::kNoThread;
  return number - 1 >= from ? number - 1 : wire::kNoThread;
}

uint32_t rwlock_owner(const Thread& waiter, uint32_t from) {
  const RwlockOwners lock = rwlock_owners(waiter.wait_key, waiter.wait_kind);
  if (lock.writer != 0) return single(lock.writer, from);
  if (waiter.wait_kind == WaitKind::kRead) {
    return first_from(from, [&](const Thread& other) {
      return other.state == ThreadState::kWaiting && other.wait_key == lock.writers_key;
    });
  }
  if (!all_known(lock.object, lock.readers)) return wire::kNoThread;
  return first_from(from, [&](const Thread& t) { return times_held(t, lock.object) != 0; });
}

// Index of the first owner, not below `from`, of what the thread waits for.
uint32_t owner_from(const Thread& waiter, uint32_t from) {
  const uint64_t key = waiter.wait_key;
  switch (waiter.wait_kind) {
    case WaitKind::kMutex:
      return single(mutex_owner(key), from);
    case WaitKind::kOnce:
      return single(once_owner(key), from);
    case WaitKind::kRead:
    case WaitKind::kWrite:
      return rwlock_owner(waiter, from);
    case WaitKind::kSpin:
      if (!all_known(key, 1)) return wire::kNoThread;
      return first_from(from, [key](const Thread& t) { return times_held(t, key) != 0; });
    case WaitKind::kJoin:
      return first_from(from,
                        [key](const Thread& t) { return !has_exited(t) && t.clear_tid == key; });
    default:
      return wire::kNoThread;
  }
}

wire::Wait describe(const Thread& waiter, uint32_t owner) {
  const bool rwlock = waiter.wait_kind == WaitKind::kRead || waiter.wait_kind == WaitKind::kWrite;
  wire::Wait wait{};
  wait.object = rwlock ? rwlock_owners(waiter.wait_key, waiter.wait_kind).object : waiter.wait_key;
  wait.thread = sched::index_of(waiter.id);
  wait.owner = owner;
  wait.kind = waiter.wait_kind;
  wait.owner_exited = owner != wire::kNoThread && has_exited(thread_at(owner)) ? 1 : 0;
  wait.earlier = sched::began_now(waiter) ? 0 : 1;
  return wait;
}

void push(uint32_t index) {
  g.colour[index] = kOnPath;
  g.next[index] = 0;
  g.path[g.depth++] = static_cast<uint16_t>(index);
}

// The path, whose last thread waits for `owner`; of a long one its end, where the cycle is.
void tell_path(wire::Waits& out, uint32_t owner) {
  out.truncated = g.depth > wire::kMaxWaits ? 1 : 0;
  const uint32_t begin = out.truncated != 0 ? g.depth - wire::kMaxWaits : 0;
  out.count = g.depth - begin;
  for (uint32_t i = begin; i < g.depth; ++i) {
    const uint32_t next = i + 1 < g.depth ? g.path[i + 1] : owner;
    out.wait[i - begin] = describe(thread_at(g.path[i]), next);
  }
}

// Depth first. True: the path ends in a deadlock, and has been told.
bool follow(uint32_t root, wire::Waits& out) {
  push(root);
  while (g.depth != 0) {
    const uint32_t top = g.path[g.depth - 1];
    const uint32_t owner = owner_from(thread_at(top), g.next[top]);
    if (owner == wire::kNoThread) {
      g.colour[top] = kHarmless;
      --g.depth;
      continue;
    }
    g.next[top] = owner + 1;
    if (g.colour[owner] == kOnPath || has_exited(thread_at(owner))) {
      tell_path(out, owner);
      return true;
    }
    if (g.colour[owner] == kUnseen && waits_for_owner(thread_at(owner))) push(owner);
  }
  return false;
}

// A slot is kDead from the exit of its thread to the end of the command.
bool owner_exited_now(const Thread& waiter) {
  uint32_t from = 0;
  for (;;) {
    const uint32_t owner = owner_from(waiter, from);
    if (owner == wire::kNoThread) return false;
    if (thread_at(owner).state == ThreadState::kDead) return true;
    from = owner + 1;
  }
}

}  // namespace

bool find_deadlock(wire::Waits& out) {
  out.count = 0;
  if (sched::waiters_for_owners() == 0) return false;
  const uint32_t slots = sched::thread_slots();
  std::memset(g.colour, kUnseen, slots);
  g.depth = 0;
  for (uint32_t i = 0; i < slots; ++i) {
    const Thread& root = thread_at(i);
    if (g.colour[i] != kUnseen || !waits_for_owner(root)) continue;
    if (!sched::began_now(root) && !owner_exited_now(root)) continue;
    if (follow(i, out)) return true;
  }
  return false;
}

void list_new_waits(wire::Waits& out) {
  out.count = 0;
  out.truncated = 0;
  if (!sched::known_wait_began()) return;
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) {
    const Thread& waiter = thread_at(i);
    if (waiter.wait_kind == WaitKind::kOther || !endless(waiter)) continue;
    if (!sched::began_now(waiter)) continue;
    if (out.count == wire::kMaxWaits) {
      out.truncated = 1;
      return;
    }
    out.wait[out.count++] = describe(waiter, owner_from(waiter, 0));
  }
}

}  // namespace evenkeel::sync
