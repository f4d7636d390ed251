#pragma once
// A child process, its output and its end.
// Threads: one owner. Memory: output is kept in memory files. Errors: std::runtime_error.
#include <sys/types.h>

#include <chrono>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

namespace evenkeel::test {

using Seconds = std::chrono::seconds;
using Environment = std::map<std::string, std::string>;
constexpr Seconds kPatience{60};  // for things that take milliseconds on an idle machine

// How a process ended: an exit status, or a signal.
struct Ending {
  int status = -1;
  int signal = 0;
  friend bool operator==(const Ending&, const Ending&) = default;
};
void PrintTo(const Ending& ending, std::ostream* out);  // found by GoogleTest

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class Process {
 public:
  // `extra` is added to this process's environment; the command is looked up in PATH.
  explicit Process(const std::vector<std::string>& command, const Environment& extra = {});
  // Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // True if it has ended by then. Never blocks longer.
  bool wait_until_ended(std::chrono::milliseconds timeout);
  // Throws if it has not ended in time.
  Ending wait(Seconds timeout = kPatience);
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;

 private:
  void start(const std::vector<std::string>& command, const Environment& extra);

  pid_t pid_ = -1;
  Fd pidfd_;
  Fd out_;
  Fd err_;
  bool ended_ = false;
  Ending ending_;
};

struct Finished {
  Ending ending;
  std::string out;
  std::string err;
};
Finished run_to_end(const std::vector<std::string>& command, const Environment& extra = {},
                    Seconds timeout = kPatience);

// Processes that must not outlive something, watched from now on. Their pids may be reused: the
// descriptors are not.
class Watched {
 public:
  explicit Watched(const std::vector<pid_t>& pids);
  [[nodiscard]] size_t size() const { return fds_.size(); }
  // True once all have ended; false when the time is over.
  bool wait_until_ended(Seconds timeout) const;

 private:
  std::vector<Fd> fds_;
};

// All descendants of a process, at this moment.
std::vector<pid_t> descendants(pid_t root);

}  // namespace evenkeel::test
