#pragma once
#include <cstdint>
#include <string>

namespace evenkeel::host {

// "openat"; "syscall_999" for a number that the build's kernel header did not have.
[[nodiscard]] std::string syscall_name(uint32_t number);

}  // namespace evenkeel::host
