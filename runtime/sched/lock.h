#pragma once
// The kernel lock: guards every structure of the scheduler and the virtual kernel. One lock,
// because sections are short (tens of nanoseconds) and there are as many contenders as carriers,
// not as many as application threads. Runtime memory: a rollback does not touch it.
// Threads: any carrier; not recursive. A thread may be suspended while holding it, see
// suspend_locked().
#include <cstdint>

namespace evenkeel::sched {

void lock();
void unlock();
[[nodiscard]] bool lock_held_by_this_carrier();

class Guard {
 public:
  Guard() { lock(); }
  ~Guard() { unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

}  // namespace evenkeel::sched
