#pragma once
// Stands between the preloaded library and the kernel: sees every system call that the library's
// own code makes in a replica, and can answer one of them with an error instead.
//
// A seccomp filter, inherited by all that a thread starts, sends calls here by the low bits of
// the instruction's address; all others run at full speed, and signals, which the replicas
// live by, are not touched (a tracer would see every one). The kernel asks Syscall User Dispatch
// before it asks seccomp: a call of the server arrives here only as what the library makes of it.
//
// Threads: one owner. Errors: std::runtime_error.
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <optional>

#include "tests/faults/call_site.h"
#include "tests/support/process.h"

struct seccomp_data;

namespace evenkeel::test {

enum class Phase { kStarting, kServing };

constexpr uint32_t kNoReplica = UINT32_MAX;  // the process that becomes the coordinator

// A call site's calls by one replica while the server starts or serves.
struct CallKind {
  uint32_t replica = 0;
  Phase phase = Phase::kStarting;
  CallSite site;
  auto operator<=>(const CallKind&) const = default;
};

// The `nth` call (from 1) is refused, or that and all that follow.
struct Refused {
  CallKind kind;
  uint32_t nth = 1;
  bool for_ever = false;
};

class Interceptor {
 public:
  using CallCounts = std::map<CallKind, uint32_t>;

  Interceptor(const Library& library, std::optional<Refused> refused);

  // Calls body() on a thread of its own and returns when that and all processes that it started
  // have ended. False: they had not by then, and have been killed.
  bool run(const std::function<void()>& body, std::chrono::milliseconds timeout);
  // By body(), while it runs.
  void enter(Phase phase) { phase_.store(phase); }

  [[nodiscard]] const CallCounts& counts() const { return counts_; }
  // How many calls have been refused.
  [[nodiscard]] uint32_t refusals() const { return refusals_; }

 private:
  struct Origin {
    uint64_t library = 0;  // its base; 0: not there (yet)
    uint32_t replica = 0;
  };

  int install_filter() const;
  void serve(int listener);
  bool must_refuse(pid_t thread, const seccomp_data& call);
  bool must_refuse(const CallKind& kind);
  const Origin& origin_of(pid_t thread);
  uint64_t caller_of(pid_t thread, uint64_t library) const;

  const Library& library_;
  std::optional<Refused> refused_;
  std::atomic<Phase> phase_ = Phase::kStarting;
  std::map<pid_t, Origin> origins_;
  CallCounts counts_;
  uint32_t refusals_ = 0;
};

}  // namespace evenkeel::test
