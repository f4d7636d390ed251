#pragma once
// Deadlines of the virtual kernel, ordered by (deadline, tie): equal deadlines expire in the order
// of their tie numbers, because threads parked on different objects have no common order.
// Threads: kernel lock held. Memory: kernel arena, tracked. A binary heap with back-indices.
#include <cstdint>

namespace evenkeel::sched {

struct Timer {
  uint64_t deadline_ns;          // CLOCK_MONOTONIC
  uint32_t tie;                  // thread id, or kTimerfdTie + number of a timer object
  uint32_t position;             // in the heap, from 1; 0: not armed
  void (*expire)(Timer& timer);  // called by the pump; address equal in every replica
};
constexpr uint32_t kTimerfdTie = 1 << 16;

void init_timers();
void arm(Timer& timer, uint64_t deadline_ns);  // re-arms if armed
void disarm(Timer& timer);
[[nodiscard]] uint64_t next_deadline_ns();  // UINT64_MAX: none
// Expires the earliest timer if it is due. One at a time: each is a parallel group of its own.
bool expire_one(uint64_t now_ns);

}  // namespace evenkeel::sched
