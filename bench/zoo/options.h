#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/zoo/process.h"

namespace evenkeel::zoo {

struct Options {
  uint64_t times = 10;             // runs natively, and in each mode
  uint64_t manifestations = 10;    // natively, runs go on until so many have shown the bug,
  uint64_t max_runs = 100;         // or so many have been made
  std::string pattern;             // empty: all
  std::vector<std::string> modes;  // empty: all
  bool native_only = false;
  std::filesystem::path reports;  // state directory that stays; no native runs; empty: none
  bool json = false;
  Milliseconds deadline{5000};     // an answer that takes longer is an outage
  Milliseconds kill_after{10000};  // of load; then no new round, and the server is ended
  Words run_options;               // for `evenkeel run`, in every mode
};

// Prints and exits for --help (0) and for mistakes (2).
Options parse_options(int argc, char** argv);

}  // namespace evenkeel::zoo
