#pragma once
// Where the preloaded library calls the kernel, and how the kernel can refuse it.
// Threads: read-only after construction. Memory: the library's code. Errors: std::runtime_error.
#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace evenkeel::test {

// One place of the library's code and what it asks for there. Offsets are the file's.
struct CallSite {
  uint64_t instruction = 0;  // behind the `syscall`
  uint64_t caller = 0;       // where the function around it returns to
  long number = 0;
  uint64_t operation = 0;  // of calls that are many: ioctl, futex, fcntl, prctl
  auto operator<=>(const CallSite&) const = default;
};

// What a call asks for beside its number; 0 for calls that do one thing.
uint64_t operation_of(long number, const uint64_t (&arguments)[6]);

// Calls that the kernel always grants: their failure would be none that exists.
struct Granted {
  long number;
  int argument = -1;       // only if this one
  uint32_t operation = 0;  // is this
};
const std::vector<Granted>& granted();

// What the kernel (or a container's rules) would say, as a positive errno.
int plausible_error(long number, uint64_t operation);

std::string name_of_call(const CallSite& site);

class Library {
 public:
  explicit Library(std::string path);

  // Behind each `syscall` instruction; bytes that only look like one are among them.
  [[nodiscard]] const std::vector<uint64_t>& instructions() const { return instructions_; }
  // Whether a call instruction ends at this offset.
  [[nodiscard]] bool follows_call(uint64_t offset) const;
  // Where a process has it, or 0.
  [[nodiscard]] uint64_t base_in(pid_t pid) const;
  // "shim/init.cc:69" for each site, in order.
  [[nodiscard]] std::vector<std::string> places_of(const std::vector<CallSite>& sites) const;

 private:
  [[nodiscard]] bool in_door(uint64_t offset) const;

  std::string path_;
  std::string image_;
  uint64_t code_begin_ = 0;
  uint64_t code_end_ = 0;
  std::vector<uint64_t> instructions_;
};

}  // namespace evenkeel::test
