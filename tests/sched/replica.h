#pragma once
// A replica in a forked child, for tests: arena, threads, timers and order log as in a server's
// process, and a pump that plays the coordinator. start() never returns, hence the child.
//
// Threads share the parent's TLS block, so what runs in parallel must not allocate, print, or use
// errno; REQUIRE does not.
#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "runtime/core/text.h"
#include "runtime/sched/order.h"
#include "runtime/sched/thread.h"
#include "runtime/wire.h"

namespace evenkeel::test {

// How a child ended.
constexpr int kPassed = 0;
constexpr int kFailed = 1;    // a REQUIRE
constexpr int kStuck = 3;     // quiescent, nothing to wake, and the body has not returned
constexpr int kDiverged = 4;  // stopped early

struct Role {
  sched::OrderMode mode = sched::OrderMode::kFree;
  uint32_t carriers = 1;
  uint32_t parallelism = 1;
  uint32_t index = 0;  // replica
};

// A deck that forked children share; sparse. Unmapped by release_deck().
[[nodiscard]] wire::Deck* make_deck();
void release_deck(wire::Deck* deck);

// Zeroed memory that forked children share.
[[nodiscard]] void* shared_memory(size_t bytes);
template <typename T>
[[nodiscard]] T& shared() {
  return *static_cast<T*>(shared_memory(sizeof(T)));
}

// In the parent: starts a replica whose thread 0 runs `body`; and waits for its end. A child that
// dies by a signal gives 128 + signal.
[[nodiscard]] pid_t start_replica(const Role& role, wire::Deck* deck, std::function<void()> body);
[[nodiscard]] int end_of(pid_t child);
[[nodiscard]] int run_replica(const Role& role, std::function<void()> body);

// ---- in the child

// A further thread, ready to run. From thread 0 only.
sched::ThreadId spawn(std::function<void()> body);
// Thread 0 waits until all others have exited. Not an ordered operation.
void join_all();
// Called at quiescence, on the pump. True: threads were made ready. False, or none set: the next
// timer expires, and without one the replica ends.
void at_quiescence(std::function<bool()> callback);
// From the callback. The command ends here: a primary's log will not grow any more.
void end_command();
// The replica has passed, though threads may still wait.
[[noreturn]] void finish();
// How often the replica has been quiescent since the body began.
[[nodiscard]] uint64_t quiescences();
// Parks the caller on `key`; wakes its waiters. Not ordered.
sched::Wake park(uint64_t key, uint64_t deadline_ns = sched::kNoDeadline);
uint32_t unpark(uint64_t key, uint32_t count = UINT32_MAX);

[[noreturn]] void fail(const char* file, int line, const char* what, int64_t left, int64_t right);

// A generator for schedules and choices; deterministic.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t below(uint32_t limit) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;  // Knuth, MMIX
    return static_cast<uint32_t>(state_ >> 33) % limit;
  }

 private:
  uint64_t state_;
};

}  // namespace evenkeel::test

#define REQUIRE(condition)                             \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::evenkeel::test::fail(__FILE__, __LINE__, #condition, 0, 0))
#define REQUIRE_EQ(left, right)                                                       \
  do {                                                                                \
    const auto left_ = static_cast<int64_t>(left);                                    \
    const auto right_ = static_cast<int64_t>(right);                                  \
    if (left_ != right_) {                                                            \
      ::evenkeel::test::fail(__FILE__, __LINE__, #left " == " #right, left_, right_); \
    }                                                                                 \
  } while (false)
