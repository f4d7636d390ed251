#pragma once
// Signals that the coordinator receives on the server's behalf. Handlers only set bits, ring the
// deck's doorbell (so that no futex wait misses them) and an eventfd (so that no epoll wait does).
// Process-wide: one instance at a time.
#include <atomic>
#include <csignal>
#include <cstdint>

#include "runtime/host/fd.h"

namespace evenkeel::host {

class Signals {
 public:
  explicit Signals(std::atomic<uint32_t>& doorbell);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int event_fd() const { return event_.get(); }
  // Bit n: signal n came since the last call. Clears the eventfd as well.
  [[nodiscard]] uint64_t take();
  // A second SIGTERM or SIGINT came within kImpatienceNs of the first: the number, else 0.
  [[nodiscard]] int impatient() const;
  // A signal that ends most programs is pending, for a parent that only waits: number or 0.
  [[nodiscard]] int pending_termination() const;
  // SIGTERM or SIGINT has waited for kPatienceNs for a server that is starting, when nothing can be
  // delivered to it: number or 0. Other signals wait as long as it takes: the server may handle
  // them, and its port can answer before its start-up is through.
  [[nodiscard]] int overdue_termination() const;
  // SIGCHLD came since clear_child().
  [[nodiscard]] bool child_waits() const;
  void clear_child() const;

  // In a child, before exec: what we were started with.
  void restore_in_child() const;

 private:
  static constexpr int kForwarded[] = {SIGTERM, SIGINT,   SIGHUP,  SIGQUIT, SIGUSR1,
                                       SIGUSR2, SIGWINCH, SIGALRM, SIGCONT};

  Fd event_;
  sigset_t original_mask_{};
  uint64_t ignored_ = 0;  // bit n: signal n was ignored when we started (nohup), and stays so
};

// Ends the process as the server ended: by the same signal, without a core of our own.
[[noreturn]] void die_by(int signal);

}  // namespace evenkeel::host
