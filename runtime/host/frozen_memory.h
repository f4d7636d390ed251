#pragma once
// The memory of a process that stands still, from /proc.
// Threads: any one. Memory: none to speak of. Errors: std::system_error; EOPNOTSUPP before Linux
// 6.7, which cannot say what of terabytes of address space exists.
#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/host/fd.h"

namespace evenkeel::host {

struct Span {
  uint64_t begin;
  uint64_t end;
};

class FrozenMemory {
 public:
  explicit FrozenMemory(pid_t pid);

  // Of private memory that can have been written, what exists; and what is mapped of files into
  // the runtime's arena for that. Ascending.
  [[nodiscard]] std::vector<Span> spans() const;
  void read(uint64_t address, void* to, uint64_t bytes) const;
  // Open regular files: [{"fd", "path", "flags"}].
  [[nodiscard]] nlohmann::json files() const;

 private:
  void add_present(Span mapping, std::vector<Span>& spans) const;

  pid_t pid_;
  Fd memory_;
  Fd pagemap_;
};

}  // namespace evenkeel::host
