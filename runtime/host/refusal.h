#pragma once
// Why a command does not start, for the person who typed it: the fact, then what to do next.
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace evenkeel::host {

constexpr int kExitUsage = 2;            // malformed or impossible request
constexpr int kExitHung = 70;            // EX_SOFTWARE: no replica answers any more
constexpr int kExitNotExecutable = 126;  // as a shell has it
constexpr int kExitNotFound = 127;

class Refusal : public std::runtime_error {
 public:
  Refusal(int status, const std::string& what, std::string next_step)
      : std::runtime_error(what), status_(status), next_step_(std::move(next_step)) {}
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& next_step() const { return next_step_; }

 private:
  int status_;
  std::string next_step_;
};

// One line on stderr. The coordinator's own words always begin with "evenkeel: ".
template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "evenkeel: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace evenkeel::host
