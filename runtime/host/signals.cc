#include "runtime/host/signals.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/host/clock.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kImpatienceNs = 5 * kNsPerSecond;
constexpr uint64_t kPatienceNs = 2 * kNsPerSecond;

// What a handler may touch. Set up before the first handler is installed.
std::atomic<uint32_t>* g_doorbell = nullptr;
int g_event_fd = -1;
std::atomic<uint64_t> g_pending{0};
std::atomic<bool> g_child{false};
std::atomic<uint64_t> g_last_termination_ns{0};
std::atomic<int> g_impatient{0};

constexpr uint64_t bit(int signal) { return uint64_t{1} << signal; }

void note_termination(int signal) {
  const uint64_t now = monotonic_ns();
  const uint64_t last = g_last_termination_ns.exchange(now);
  if (last != 0 && now - last < kImpatienceNs) g_impatient.store(signal);
}

extern "C" void on_signal(int signal) {
  const int saved = errno;
  if (signal == SIGCHLD) {
    g_child.store(true);
  } else {
    if (signal == SIGTERM || signal == SIGINT) note_termination(signal);
    g_pending.fetch_or(bit(signal));
  }
  g_doorbell->fetch_add(1);
  const uint64_t one = 1;
  // Fails only when the counter is full: then it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(g_event_fd, &one, sizeof one);
  errno = saved;
}

void install(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = signal == SIGCHLD ? SA_NOCLDSTOP : 0;
  ::sigfillset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals(std::atomic<uint32_t>& doorbell)
    : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  g_doorbell = &doorbell;
  g_event_fd = event_.get();
  g_pending = 0;
  g_impatient = 0;
  g_last_termination_ns = 0;
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, &original_mask_);
  for (const int signal : kForwarded) {
    if (is_ignored(signal)) {
      ignored_ |= bit(signal);
    } else {
      install(signal, on_signal);
    }
  }
  if (is_ignored(SIGPIPE)) ignored_ |= bit(SIGPIPE);
  install(SIGPIPE, SIG_IGN);
  install(SIGCHLD, on_signal);
}

Signals::~Signals() {
  for (const int signal : kForwarded) {
    if ((ignored_ & bit(signal)) == 0) install(signal, SIG_DFL);
  }
  install(SIGCHLD, SIG_DFL);
}

uint64_t Signals::take() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t bytes = ::read(event_.get(), &count, sizeof count);
  return g_pending.exchange(0);
}

int Signals::impatient() const { return g_impatient.load(); }

int Signals::pending_termination() const {
  const uint64_t pending = g_pending.load();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
    if ((pending & bit(signal)) != 0) return signal;
  }
  return 0;
}

int Signals::overdue_termination() const {
  const uint64_t pending = g_pending.load();
  if (monotonic_ns() - g_last_termination_ns.load() < kPatienceNs) return 0;
  for (const int signal : {SIGTERM, SIGINT}) {
    if ((pending & bit(signal)) != 0) return signal;
  }
  return 0;
}

bool Signals::child_waits() const { return g_child.load(); }
void Signals::clear_child() const { g_child.store(false); }

void Signals::restore_in_child() const {
  for (int signal = 1; signal < NSIG; ++signal) {
    const bool ignore = signal < 64 && (ignored_ & bit(signal)) != 0;
    if (signal == SIGPIPE || signal == SIGCHLD || !is_ignored(signal)) {
      install(signal, ignore ? SIG_IGN : SIG_DFL);  // refused for SIGKILL and SIGSTOP: no matter
    }
  }
  ::sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
}

void die_by(int signal) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  install(signal, SIG_DFL);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);  // a signal whose default is not to end us
}

}  // namespace evenkeel::host
