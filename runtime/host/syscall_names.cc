#include "runtime/host/syscall_names.h"

#include <fmt/format.h>

namespace evenkeel::host {
namespace {

struct Row {
  uint32_t number;
  const char* name;
};

constexpr Row kRows[] = {
#include "syscall_names.inc"
};

}  // namespace

std::string syscall_name(uint32_t number) {
  for (const Row& row : kRows) {
    if (row.number == number) return row.name;
  }
  return fmt::format("syscall_{}", number);
}

}  // namespace evenkeel::host
