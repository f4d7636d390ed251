#pragma once
// `evenkeel replay --gdb`: the debugger on the terminal, attached to the replica before the batch
// begins, with hardware watchpoints on the bytes that were raced for.
// Threads: one. Memory: none. Errors: Refusal if there is no gdb, or it cannot attach.
#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::host {

// Of x86-64: four debug registers of at most eight aligned bytes each.
constexpr size_t kMaxWatchpoints = 4;

// What gdb is started with; `told` is the descriptor on which it says that it is about to let the
// process go on.
[[nodiscard]] std::vector<std::string> gdb_arguments(pid_t pid,
                                                     std::span<const wire::WatchedRange> ranges,
                                                     int told);

class Debugger {
 public:
  // Looks for it, and keeps the environment of the user's: a lab is about to replace it.
  Debugger();
  // Waits until the user has left it.
  ~Debugger();
  Debugger(const Debugger&) = delete;
  Debugger& operator=(const Debugger&) = delete;

  // Returns when the watchpoints are set and the replica runs again.
  void attach(pid_t pid, std::span<const wire::WatchedRange> ranges);

 private:
  std::string path_;
  std::vector<std::string> environment_;
  pid_t gdb_ = -1;
};

}  // namespace evenkeel::host
