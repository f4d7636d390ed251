#include "runtime/host/replicas.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>

#include "runtime/host/clock.h"
#include "runtime/host/futex.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kCoreFilePollNs = 100'000'000;

bool ends_within(const Fd& pidfd, uint64_t timeout_ns) {
  pollfd ended{pidfd.get(), POLLIN, 0};
  int count = 0;
  do {
    count = ::poll(&ended, 1, static_cast<int>(timeout_ns / kNsPerMs));
  } while (count < 0 && errno == EINTR);
  return count != 0;
}

bool dumps_core(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line == "CoreDumping:\t1") return true;
  }
  return false;
}

}  // namespace

void Replicas::start(const Launch& what) {
  primary_ = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    processes_[i] = Process{};
    processes_[i].pid = launch(what, i);
    live_ |= 1U << i;
  }
  deck_.live_mask.store(live_);
}

void Replicas::start_replacement(const Launch& what, uint32_t index) {
  Process& process = processes_[index];
  if (process.pid > 0) {  // a wrapper that outlives its server
    kill(index);
    while (::waitpid(process.pid, &process.wait_status, 0) < 0 && errno == EINTR) {
    }
  }
  process = Process{};
  wire::Replica& replica = deck_.replicas[index];
  replica.attached.store(0);
  replica.pid = 0;
  replica.carrier_count.store(0);
  replica.external.state.store(0);
  replica.region_count.store(0);
  replica.result = wire::Result{};
  replica.done_sequence.store(0);
  replica.admission.store(wire::kStarting);
  process.pid = launch(what, index);
}

bool Replicas::replacement_ended(uint32_t index) {
  return collect(processes_[index]) || server_is_gone(index);
}

void Replicas::admit(uint32_t index) {
  joining_ |= 1U << index;
  live_ |= 1U << index;
  deck_.live_mask.store(live_);
}

bool Replicas::finish_admission(uint32_t index) {
  joining_ &= ~(1U << index);
  if (!live(index)) return false;
  // Everybody who had the state has died, but not before it was handed over.
  if (!live(primary_)) primary_ = index;
  return true;
}

void Replicas::kill(uint32_t index) {
  const pid_t pid = processes_[index].pid;
  if (pid > 0) {
    ::kill(-pid, SIGKILL);  // the group: a wrapper's helpers as well
    ::kill(pid, SIGKILL);   // it may not have become a group leader yet
  }
  const pid_t server = server_pid(index);
  const bool may_live = live(index) || pid > 0;  // else its number may be another's by now
  if (server > 0 && server != pid && may_live && !server_is_gone(index)) ::kill(server, SIGKILL);
}

void Replicas::kill_all() {
  for (uint32_t i = 0; i < count_; ++i) kill(i);
  for (uint32_t i = 0; i < count_; ++i) {
    Process& process = processes_[i];
    if (process.pid <= 0) continue;
    while (::waitpid(process.pid, &process.wait_status, 0) < 0 && errno == EINTR) {
    }
    process.pid = -1;
  }
  live_ = joining_ = 0;
  deck_.live_mask.store(0);
}

bool Replicas::collect(Process& process) {
  if (process.pid <= 0) return false;
  if (::waitpid(process.pid, &process.wait_status, WNOHANG) != process.pid) return false;
  process.pid = -1;
  return true;
}

pid_t Replicas::server_pid(uint32_t index) const {
  const wire::Replica& replica = deck_.replicas[index];
  // acquire: pairs with the replica's release after it wrote its pid.
  return replica.attached.load(std::memory_order_acquire) != 0 ? replica.pid : -1;
}

// Behind a wrapper that forks, our child can outlive the server.
bool Replicas::server_is_gone(uint32_t index) {
  Process& process = processes_[index];
  const pid_t server = server_pid(index);
  if (server <= 0 || server == process.pid) return false;
  if (!process.server.valid()) {
    process.server.reset(static_cast<int>(::syscall(SYS_pidfd_open, server, 0)));
    if (!process.server.valid()) return errno == ESRCH;
  }
  pollfd ended{process.server.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) == 1;
}

void Replicas::bury(uint32_t index) {
  live_ &= ~(1U << index);
  joining_ &= ~(1U << index);
  // seq_cst: pairs with the replicas' look at the mask after they published their result.
  deck_.live_mask.store(live_);
  if (index != primary_ || live_ == 0) return;
  const uint32_t heirs = live_ & ~joining_;
  if (heirs != 0) primary_ = static_cast<uint32_t>(__builtin_ctz(heirs));
  // release: the successor, which may be obeying the command, reads it with acquire.
  __atomic_store_n(&deck_.command.primary, primary_, __ATOMIC_RELEASE);
  deck_.primary_lost.store(deck_.command_sequence.load(), std::memory_order_release);
  deck_.log.overflow.store(1, std::memory_order_release);
  deck_.log_quiet.fetch_add(1, std::memory_order_release);
  wake_followers();
}

std::string Replicas::describe_end(uint32_t index) const {
  const int status = wait_status(index);
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exited by itself with status {}", WEXITSTATUS(status));
}

void Replicas::wake_followers() {
  futex_wake_all(deck_.log_sequence);
  futex_wake_all(deck_.log_quiet);
}

uint32_t Replicas::reap() {
  uint32_t dead = 0;
  for_each_bit(live_, [&](uint32_t i) {
    if (!collect(processes_[i]) && !server_is_gone(i)) return;
    dead |= 1U << i;
  });
  for_each_bit(dead, [&](uint32_t i) { bury(i); });
  return dead;
}

bool Replicas::wait_for_exit(uint64_t timeout_ns) {
  const uint64_t deadline = monotonic_ns() + timeout_ns;
  for (uint32_t i = 0; i < count_; ++i) {
    Process& process = processes_[i];
    if (process.pid <= 0) continue;
    if (!live(i)) kill(i);  // a replacement that has not joined obeys no command
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    const uint64_t now = monotonic_ns();
    uint64_t left_ns = now < deadline ? deadline - now : 0;
    // A large core file takes its time, and half of one is worth nothing.
    while (!ends_within(pidfd, left_ns) && dumps_core(server_pid(i))) left_ns = kCoreFilePollNs;
    if (!collect(process)) return false;
  }
  return true;
}

}  // namespace evenkeel::host
