#include "shim/requests.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/hash.h"
#include "runtime/core/heap.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/connection.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lanes.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/wire_requests.h"

namespace evenkeel::shim {
namespace {

using sched::Thread;

// A third stays free: 10,922 keys and channels of requests that wait; the rest runs alone.
constexpr size_t kSlots = 16384;

enum class Wait : uint32_t { kNone = 0, kLane, kGroup };

struct Footprint {
  Wait wait;
  uint32_t count;
  bool everything;  // more than kMaxDeclaredKeys
  mixer::Key keys[kMaxDeclaredKeys];
};

struct Table {
  uint32_t waiting;
  uint64_t groupings;
  Footprint* footprints[wire::kMaxThreads];  // made when a thread begins its first request
};
constinit Table* g_table = nullptr;  // set once by init_requests()

// Runtime memory. Made once: its epochs go on.
alignas(mixer::Groups) constinit char g_groups_room[sizeof(mixer::Groups)] = {};
constinit mixer::Groups* g_groups = nullptr;

// Requests that wait, as the pump sees them.
struct Waiter {
  wire::Channel channel;
  Thread* thread;
};
constinit Waiter g_waiters[wire::kMaxThreads] = {};
constinit uint32_t g_waiter_count = 0;

Footprint& footprint_of(const Thread& thread) {
  return *g_table->footprints[sched::index_of(thread.id)];
}

void forget_footprint(Footprint& footprint) {
  footprint.count = 0;
  footprint.everything = false;
}

// Lock held on entry, not on return.
void park(Footprint& footprint, Wait wait) {
  footprint.wait = wait;
  ++g_table->waiting;
  for (;;) {
    // Signals are handled meanwhile.
    kernel::wait_on(reinterpret_cast<uint64_t>(&footprint), sched::kNoDeadline, true);
    sched::lock();
    if (footprint.wait == Wait::kNone) break;
  }
  sched::unlock();
}

// ---- lanes

// Where no order is kept, lanes would race for their first segments: the pump takes them. Also for
// one thread at a time, as long as another replica may run many.
bool lane_needs_pump(heap::LaneId lane) {
  return !heap::prepared(lane) && sched::order_mode() == sched::OrderMode::kFree;
}

void enter_lane(Thread& me, wire::Channel channel) {
  if (!sched::has_lane(channel)) return;
  const heap::LaneId lane = sched::lane_of(channel);
  sched::lock();
  if (!sched::take_lane(me, channel)) {
    sched::unlock();
    return kernel::count_unhandled("request begun by two threads");
  }
  if (lane_needs_pump(lane)) {
    park(footprint_of(me), Wait::kLane);
  } else {
    sched::unlock();
  }
  me.lane = static_cast<uint32_t>(lane);
}

void leave_request(Thread& me) {
  me.request = 0;
  me.request_depth = 0;
  sched::leave_lane(me);
}

// ---- the pump's side

void list_waiters(Wait wait) {
  g_waiter_count = 0;
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) {
    const Footprint* footprint = g_table->footprints[i];
    if (footprint == nullptr || footprint->wait != wait) continue;
    Thread& thread = sched::thread(sched::ThreadId{i});
    g_waiters[g_waiter_count++] = {thread.request, &thread};
  }
  // Threads of one channel, or of none, by their numbers: which is which may differ in replicas.
  std::sort(g_waiters, g_waiters + g_waiter_count, [](const Waiter& a, const Waiter& b) {
    return a.channel != b.channel ? a.channel < b.channel : a.thread->id < b.thread->id;
  });
}

void release(Thread& thread) {
  footprint_of(thread).wait = Wait::kNone;
  --g_table->waiting;
  sched::Guard guard;
  // Not if a signal has woken it, or it runs its handler: it will look.
  if (thread.state == sched::ThreadState::kWaiting &&
      thread.wait_key == reinterpret_cast<uint64_t>(&footprint_of(thread))) {
    sched::wake_thread(thread, sched::Wake::kWoken);
  }
}

void add(wire::Counter counter, uint64_t amount) {
  kernel::replica().counters[counter].fetch_add(amount, std::memory_order_relaxed);
}

bool give_lanes() {
  list_waiters(Wait::kLane);
  for (uint32_t i = 0; i < g_waiter_count; ++i) {
    heap::prepare(sched::lane_of(g_waiters[i].channel));
  }
  for (uint32_t i = 0; i < g_waiter_count; ++i) release(*g_waiters[i].thread);
  return g_waiter_count != 0;
}

// Errors of a mixer, for experiments, as in the evaluation of Eve (Kapritsos et al., OSDI 2012):
// with a ratio of 1:N, a request is kept out of a group of n others with 1 - (1 - 1/N)^n although
// it conflicts with none, and let into one in which it conflicts with n with (1/N)^n. Drawn from
// the batch's seed: the same in all replicas.
class Errors {
 public:
  Errors(const wire::Boot& boot, const wire::Command& command)
      : false_ratio_(boot.false_conflicts),
        missed_ratio_(boot.missed_conflicts),
        seed_(hash64(&command.seed, sizeof command.seed, ++g_table->groupings)) {}

  [[nodiscard]] bool rejects(uint32_t placed) {
    if (false_ratio_ == 0) return false;
    for (uint32_t i = 0; i < placed; ++i) {
      if (strikes(false_ratio_)) return true;
    }
    return false;
  }
  [[nodiscard]] bool overlooks(uint32_t conflicting) {
    if (missed_ratio_ == 0) return false;
    for (uint32_t i = 0; i < conflicting; ++i) {
      if (!strikes(missed_ratio_)) return false;
    }
    return true;
  }

 private:
  bool strikes(uint32_t ratio) { return hash64(&seed_, sizeof seed_, ++drawn_) % ratio == 0; }

  uint32_t false_ratio_;
  uint32_t missed_ratio_;
  uint64_t seed_;
  uint64_t drawn_ = 0;
};

bool conflict(const Footprint& a, const Footprint& b) {
  if (a.everything || b.everything) return true;
  return std::any_of(a.keys, a.keys + a.count, [&](const mixer::Key& one) {
    return std::any_of(b.keys, b.keys + b.count, [&](const mixer::Key& other) {
      return one.id == other.id && mixer::conflict(one.access, other.access);
    });
  });
}

uint32_t conflicts_with_first(uint32_t placed, const Footprint& footprint) {
  return static_cast<uint32_t>(std::count_if(g_waiters, g_waiters + placed, [&](const Waiter& w) {
    return conflict(footprint, footprint_of(*w.thread));
  }));
}

// Moves the first group to the front of g_waiters; returns how many they are.
uint32_t form_group(Errors errors) {
  g_groups->clear();
  uint32_t placed = 0;
  for (uint32_t i = 0; i < g_waiter_count; ++i) {
    const Footprint& footprint = footprint_of(*g_waiters[i].thread);
    const bool rejected = errors.rejects(placed);
    const uint32_t group = g_groups->add({.keys = {footprint.keys, footprint.count},
                                          .everything = footprint.everything,
                                          .first_group = rejected ? 1U : 0U});
    const bool missed =
        group != 0 && !rejected && errors.overlooks(conflicts_with_first(placed, footprint));
    if (group == 0 || missed) std::swap(g_waiters[placed++], g_waiters[i]);
  }
  return placed;
}

}  // namespace

void init_requests() {
  g_table = arena::create<Table>();
  const auto mapped =
      sys::mmap(nullptr, kSlots * sizeof(mixer::Groups::Slot), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot map the mixer's table", "errno", mapped.err());
  auto* slots = reinterpret_cast<mixer::Groups::Slot*>(mapped.value());
  g_groups = new (g_groups_room) mixer::Groups({slots, kSlots});
}

void begin_request(int fd) {
  Thread& me = sched::self();
  const wire::Channel channel = kernel::channel_of(fd);
  Footprint*& footprint = g_table->footprints[sched::index_of(me.id)];
  if (footprint == nullptr) {
    sched::Guard guard;
    footprint = arena::create<Footprint>();
  }
  forget_footprint(*footprint);
  if (me.request_depth != 0 && me.request == channel) {
    ++me.request_depth;
    return;
  }
  leave_request(me);  // of another connection, or a lane that it borrowed
  me.request = channel;
  me.request_depth = 1;
  if (channel != 0) sched::begin_input(channel);
  enter_lane(me, channel);
}

void end_request() {
  Thread& me = sched::self();
  if (me.request_depth == 0) return;
  forget_footprint(footprint_of(me));
  if (--me.request_depth == 0) leave_request(me);
}

void declare(mixer::Access access, const char* space, Range key) {
  Thread& me = sched::self();
  if (me.request_depth == 0) return kernel::count_unhandled("footprint outside of a request");
  Footprint& footprint = footprint_of(me);
  if (footprint.count == kMaxDeclaredKeys) {
    footprint.everything = true;
    return;
  }
  const uint64_t space_id = mixer::key_id(mixer::kRootSpace, space);
  const char* bytes = reinterpret_cast<const char*>(key.begin);
  footprint.keys[footprint.count++] = {mixer::key_id(space_id, {bytes, key.bytes}), access};
}

void await_group() {
  Thread& me = sched::self();
  if (me.request_depth == 0) return;
  Footprint& footprint = footprint_of(me);
  if (footprint.count != 0) {
    sched::lock();
    park(footprint, Wait::kGroup);
  }
  forget_footprint(footprint);
}

bool release_requests(const wire::Boot& boot, const wire::Command& command, bool alone) {
  if (g_table->waiting == 0) return false;
  if (give_lanes()) return true;
  list_waiters(Wait::kGroup);
  const uint32_t count = alone ? 1 : form_group(Errors(boot, command));
  for (uint32_t i = 0; i < count; ++i) release(*g_waiters[i].thread);
  add(wire::kCountRequestGroups, 1);
  add(wire::kCountAnnotatedRequests, count);
  return true;
}

}  // namespace evenkeel::shim
