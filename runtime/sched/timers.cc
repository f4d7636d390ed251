#include "runtime/sched/timers.h"

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/wire.h"

namespace evenkeel::sched {
namespace {

// One per thread, and as many for timer objects; arming more than that is fatal.
constexpr uint32_t kMaxTimers = 4 * wire::kMaxThreads;

struct TimerHeap {
  uint32_t size;
  Timer* slot[kMaxTimers + 1];  // from 1
};
constinit TimerHeap* g_heap = nullptr;  // set once by init_timers()

bool earlier(const Timer& a, const Timer& b) {
  return a.deadline_ns != b.deadline_ns ? a.deadline_ns < b.deadline_ns : a.tie < b.tie;
}

void place(Timer* timer, uint32_t position) {
  g_heap->slot[position] = timer;
  timer->position = position;
}

void sift_up(Timer* timer, uint32_t position) {
  while (position > 1 && earlier(*timer, *g_heap->slot[position / 2])) {
    place(g_heap->slot[position / 2], position);
    position /= 2;
  }
  place(timer, position);
}

void sift_down(Timer* timer, uint32_t position) {
  for (;;) {
    uint32_t child = position * 2;
    if (child > g_heap->size) break;
    if (child < g_heap->size && earlier(*g_heap->slot[child + 1], *g_heap->slot[child])) ++child;
    if (!earlier(*g_heap->slot[child], *timer)) break;
    place(g_heap->slot[child], position);
    position = child;
  }
  place(timer, position);
}

}  // namespace

void init_timers() { g_heap = arena::create<TimerHeap>(); }

void arm(Timer& timer, uint64_t deadline_ns) {
  disarm(timer);
  EVENKEEL_CHECK(g_heap->size < kMaxTimers);
  timer.deadline_ns = deadline_ns;
  sift_up(&timer, ++g_heap->size);
}

void disarm(Timer& timer) {
  const uint32_t position = timer.position;
  if (position == 0) return;
  Timer* last = g_heap->slot[g_heap->size--];
  timer.position = 0;
  if (last == &timer) return;
  if (position > 1 && earlier(*last, *g_heap->slot[position / 2])) {
    sift_up(last, position);
  } else {
    sift_down(last, position);
  }
}

uint64_t next_deadline_ns() {
  return g_heap->size == 0 ? UINT64_MAX : g_heap->slot[1]->deadline_ns;
}

bool expire_one(uint64_t now_ns) {
  if (next_deadline_ns() > now_ns) return false;
  Timer& timer = *g_heap->slot[1];
  disarm(timer);
  timer.expire(timer);
  return true;
}

}  // namespace evenkeel::sched
