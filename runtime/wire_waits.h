#pragma once
// Who waits for whom, as the deck tells it; see runtime/sync/deadlock.h. Included by runtime/wire.h
// only.
#include <cstdint>

namespace evenkeel::wire {

// What a thread waits for that only another thread of the server can give.
enum class WaitKind : uint32_t {
  kOther = 0,  // input, time, or nothing that is known
  // The first group has owners, who are known.
  kMutex = 1,
  kSpin = 2,
  kRead = 3,   // a rwlock, for reading
  kWrite = 4,  // a rwlock, for writing
  kOnce = 5,
  kJoin = 6,  // the end of a thread
  // Whoever comes along can end these.
  kCondition = 7,
  kSemaphore = 8,
  kBarrier = 9,
  kFutex = 10,
};

struct Wait {
  uint64_t object;  // its address
  uint32_t thread;
  uint32_t owner;  // thread; kNoThread: nobody, or nobody knows
  WaitKind kind;
  uint32_t owner_exited;  // 1: `owner` has ended and will not give it up
  uint32_t earlier;       // 1: the wait began in an earlier command
  uint32_t reserved;
};
constexpr uint32_t kNoThread = UINT32_MAX;
constexpr uint32_t kMaxWaits = 16;  // more: truncated flag

// kDeadlock: the waits of a cycle, each owner being the next thread, perhaps with those that lead
// to it before; or the way to an owner that has exited. kQuiescent: waits without a deadline that
// began during the command, if it was a parallel one; a lost wake-up is among them if there was
// one.
struct Waits {
  uint32_t count;
  uint32_t truncated;
  Wait wait[kMaxWaits];
};

}  // namespace evenkeel::wire
