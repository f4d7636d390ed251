#pragma once
// A server as a child process, in a process group of its own, that cannot outlive its owner.
// Threads: one (the kernel ends the child when the thread that started it ends).
// Memory: none worth naming. Errors: std::runtime_error if it cannot be started.
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace evenkeel::zoo {

using Words = std::vector<std::string>;
using Milliseconds = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class Process {
 public:
  // stdout and stderr go to `log`.
  Process(const Words& command, const std::filesystem::path& log);
  // Ends it, and everything in its group, if that has not been done.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  bool has_ended();
  // "status 0", "signal 11 (Segmentation fault)"; empty while it runs.
  [[nodiscard]] std::string ending() const;
  // SIGTERM, then after `patience` SIGKILL to the group.
  void stop(Milliseconds patience);

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

// A port of 127.0.0.1 on which nobody listens now, outside the range of the kernel's own choice.
uint16_t free_port();

// What a command printed; throws unless it ends with status 0 within the time.
std::string output_of(const Words& command, const std::filesystem::path& scratch,
                      Milliseconds timeout);

std::string text_of(const std::filesystem::path& file);

}  // namespace evenkeel::zoo
