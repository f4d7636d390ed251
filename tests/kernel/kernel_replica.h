#pragma once
// A virtual kernel in a forked child (see tests/sched/replica.h), with a snapshot under it if the
// test wants to commit and roll back.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <functional>

#include "runtime/core/layout.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/memory.h"
#include "runtime/kernel/signals.h"
#include "runtime/sched/carrier.h"
#include "snapshot/snapshot.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {

constexpr int32_t kReportedPid = 4242;
constexpr int32_t kReportedParent = 4000;

// Runs the body as the server's initial thread; returns how the child ended, as end_of().
inline int run_kernel(std::function<void()> body, std::function<void(wire::Boot&)> set_up = {},
                      const Role& role = {}) {
  wire::Deck* deck = make_deck();
  deck->boot.reported_pid = kReportedPid;
  deck->boot.reported_ppid = kReportedParent;
  deck->boot.replica_count = 1;
  if (set_up) set_up(deck->boot);
  const int status = end_of(start_replica(role, deck, [&] {
    kernel::init_memory();
    kernel::init(*deck, 0);
    body();
  }));
  release_deck(deck);
  return status;
}

enum class Decision { kNone, kCommit, kRollback };

// The pump's part of commit and rollback for a body of one thread. That thread's stack is not
// rolled back, so every boundary must be passed from the same frame: then the context that a
// rollback restores is the one that is there.
class Boundaries {
 public:
  explicit Boundaries(snapshot::Backend backend) {
    struct sigaction action = {};
    action.sa_sigaction = on_write_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    REQUIRE(snapshot::init({.backend = backend, .image_fd = -1, .compare = true}).ok());
    kernel::set_kernel_write_hook(snapshot::prepare_kernel_write);
    kernel::set_memory_hooks({snapshot::protect, snapshot::discard,
                              [](Range range, bool hashed) {
                                const auto kind =
                                    hashed ? snapshot::Kind::kHashed : snapshot::Kind::kTracked;
                                REQUIRE(snapshot::add_region(range, kind).ok());
                              },
                              [](Range range) { REQUIRE(snapshot::remove_region(range).ok()); }});
    REQUIRE(snapshot::add_region(kMapArena, snapshot::Kind::kHashed).ok());
    REQUIRE(snapshot::add_region(kStackArena, snapshot::Kind::kStack).ok());
    REQUIRE(snapshot::add_region(kKernelArena, snapshot::Kind::kTracked).ok());
    at_quiescence([this] { return decide(); });
  }

  ~Boundaries() { at_quiescence({}); }
  Boundaries(const Boundaries&) = delete;
  Boundaries& operator=(const Boundaries&) = delete;

  // noipa: neither inlined at one place and not at another, nor cloned.
  [[gnu::noipa]] void pass(Decision decision) {
    decision_ = decision;
    park(key());
  }

 private:
  static void on_write_fault(int number, siginfo_t* info, void* context) {
    constexpr greg_t kWriteAccess = 2;
    const auto* user = static_cast<const ucontext_t*>(context);
    const bool write = (user->uc_mcontext.gregs[REG_ERR] & kWriteAccess) != 0;
    if (write && snapshot::handle_write_fault(reinterpret_cast<uint64_t>(info->si_addr))) return;
    ::signal(number, SIG_DFL);  // returns to the instruction, which now kills the test
  }

  [[nodiscard]] uint64_t key() const { return reinterpret_cast<uint64_t>(this); }

  bool decide() {
    if (decision_ == Decision::kNone) return false;
    kernel::memory_quiescent();
    snapshot::DirtyPages dirty{};
    REQUIRE(snapshot::collect(dirty).ok());
    if (decision_ == Decision::kCommit) {
      snapshot::commit(true);
      kernel::memory_committed();
    } else {
      snapshot::rollback();
      kernel::memory_rolled_back();
    }
    decision_ = Decision::kNone;
    return unpark(key()) == 1;
  }

  Decision decision_ = Decision::kNone;
};

}  // namespace evenkeel::test
