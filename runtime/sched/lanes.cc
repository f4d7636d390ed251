#include "runtime/sched/lanes.h"

#include "runtime/core/arena.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::sched {
namespace {

struct Table {
  bool borrowed;
  uint32_t holders[heap::kConnectionLanes];  // of each lane: thread + 1, or 0
};
constinit Table* g_lanes = nullptr;  // set once by init_lanes()

uint32_t slot_of(wire::Channel channel) {
  return static_cast<uint32_t>(channel & ((1U << wire::kChannelSlotBits) - 1));
}
uint32_t number_of(const Thread& thread) { return index_of(thread.id) + 1; }

// A thread that ended in between has left its number behind.
bool holds(uint32_t number, uint32_t slot) {
  if (number == 0) return false;
  const Thread& holder = thread(ThreadId{number - 1});
  return holder.state != ThreadState::kDead && holder.state != ThreadState::kFree &&
         holder.held_lane == slot + 1;
}

}  // namespace

void init_lanes(bool borrowed) {
  g_lanes = arena::create<Table>();
  g_lanes->borrowed = borrowed;
}

bool has_lane(wire::Channel channel) {
  return channel != 0 && slot_of(channel) < heap::kConnectionLanes;
}
heap::LaneId lane_of(wire::Channel channel) {
  return heap::LaneId{heap::kThreadLanes + slot_of(channel)};
}

bool take_lane(Thread& thread, wire::Channel channel) {
  const uint32_t slot = slot_of(channel);
  uint32_t& holder = g_lanes->holders[slot];
  if (holder != number_of(thread) && holds(__atomic_load_n(&holder, __ATOMIC_ACQUIRE), slot)) {
    return false;
  }
  holder = number_of(thread);
  thread.held_lane = slot + 1;
  return true;
}

// The lock need not be held: nobody else writes the word as long as it names this thread.
void leave_lane(Thread& thread) {
  thread.lane = index_of(thread.id);
  if (thread.held_lane == 0) return;
  uint32_t& holder = g_lanes->holders[thread.held_lane - 1];
  thread.held_lane = 0;
  // release: pairs with the acquire in take_lane(); what was done to the lane is seen by the next.
  if (holder == number_of(thread)) __atomic_store_n(&holder, 0, __ATOMIC_RELEASE);
}

void prepare_lane(wire::Channel channel) {
  if (g_lanes->borrowed && has_lane(channel)) heap::prepare(lane_of(channel));
}

void borrow_lane(wire::Channel channel) {
  if (g_lanes == nullptr || !g_lanes->borrowed) return;
  Thread& me = self();
  if (me.request_depth != 0) return;  // annotations know better
  if (has_lane(channel) && me.held_lane == slot_of(channel) + 1) return;
  leave_lane(me);
  if (!has_lane(channel) || !heap::prepared(lane_of(channel)) || !take_lane(me, channel)) return;
  me.lane = static_cast<uint32_t>(lane_of(channel));
}

void return_lane() {
  Thread& me = self();
  if (me.held_lane != 0 && me.request_depth == 0) leave_lane(me);
}

void return_lane_of(wire::Channel channel) {
  Thread& me = self();
  if (has_lane(channel) && me.held_lane == slot_of(channel) + 1 && me.request_depth == 0) {
    leave_lane(me);
  }
}

}  // namespace evenkeel::sched
