// The handlers on carriers: what of the kernel's per-thread state must stay behind when a call
// ends on another carrier than it began on.
#include "shim/user_dispatch.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "runtime/core/sys.h"
#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

uint32_t this_carrier() { return sched::carrier().index; }

// Asked of the kernel itself: the call stands in the range that is not dispatched.
void* alternate_stack() {
  stack_t stack{};
  REQUIRE(sys::call(SYS_sigaltstack, 0, sys::arg(&stack)).ok());
  REQUIRE_EQ(stack.ss_flags, 0);
  return stack.ss_sp;
}

void await(const std::atomic<bool>& flag) {
  while (!flag.load(std::memory_order_acquire)) _mm_pause();
}
void raise_flag(std::atomic<bool>& flag) { flag.store(true, std::memory_order_release); }

// A thread sleeps in a dispatched futex call on its carrier, which another thread then occupies; a
// third wakes it and leaves its own carrier to it.
struct Migration {
  uint32_t word = 0;
  std::atomic<bool> waker_runs = false;
  std::atomic<bool> first_carrier_taken = false;
  std::atomic<bool> migrated = false;
  uint32_t wakers_carrier = 0;
  void* wakers_stack = nullptr;

  void run() {
    shim::install_dispatch();
    spawn([this] { wake(); });
    spawn([this] { occupy(); });
    await(waker_runs);
    shim::dispatch_calls_of(sched::carrier());
    const uint32_t before = this_carrier();
    void* const own_stack = alternate_stack();
    // libc's call, hence dispatched.
    REQUIRE_EQ(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr), 0);
    REQUIRE(this_carrier() != before);
    REQUIRE_EQ(this_carrier(), wakers_carrier);
    REQUIRE(own_stack != wakers_stack);
    REQUIRE(alternate_stack() == wakers_stack);
    raise_flag(migrated);
    join_all();
  }

  void wake() {
    shim::dispatch_calls_of(sched::carrier());
    wakers_carrier = this_carrier();
    wakers_stack = alternate_stack();
    raise_flag(waker_runs);
    await(first_carrier_taken);
    REQUIRE_EQ(kernel::call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1), 1);
  }

  void occupy() {
    raise_flag(first_carrier_taken);
    await(migrated);
  }
};

TEST(UserDispatch, CallsThatEndOnAnotherCarrierLeaveItsAlternateStackAlone) {
  const Role role{.carriers = 2, .parallelism = 2};
  EXPECT_EQ(run_kernel([] { Migration().run(); }, {}, role), kPassed);
}

}  // namespace
}  // namespace evenkeel::test
