#pragma once
// Who called whom, from an access's registers and the top of its stack, by the unwind tables
// (.eh_frame) that every production binary has.
// Threads: one. Memory: libdwfl's, of the modules of one process. Errors: a stack that cannot be
// followed is as long as it could be.
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/wire.h"

struct Dwfl;

namespace evenkeel::host {

class StackWalk {
 public:
  static constexpr size_t kMaxFrames = 32;

  explicit StackWalk(pid_t pid);
  ~StackWalk();
  StackWalk(const StackWalk&) = delete;
  StackWalk& operator=(const StackWalk&) = delete;

  // Innermost first: the instruction itself, then return addresses.
  [[nodiscard]] std::vector<uint64_t> walk(const wire::Access& access);

 private:
  Dwfl* session_ = nullptr;
  // What the callbacks read; libdwfl keeps its address.
  struct Current;
  std::unique_ptr<Current> current_;
};

}  // namespace evenkeel::host
