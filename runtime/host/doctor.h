#pragma once
// What this machine offers, what will be used, what is missing and how to get it.
#include <string>
#include <vector>

namespace evenkeel::host {

struct Finding {
  std::string what;
  std::string state;  // what was found
  bool good = true;
  bool required = true;  // without it evenkeel cannot run
  std::string remedy;    // empty when good
};

[[nodiscard]] std::vector<Finding> examine_machine();
// True if evenkeel can run here.
[[nodiscard]] bool print_findings(const std::vector<Finding>& findings);

}  // namespace evenkeel::host
