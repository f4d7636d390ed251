#pragma once
#include <cstdint>
#include <string>

namespace evenkeel::load {

enum class Mode { kExclusive, kShared, kContended };
enum class Preload { kYes, kOnly, kNo };

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 11211;
  uint32_t connections = 50;
  uint64_t requests = 100000;  // of the measured phase, over all connections
  uint32_t pipeline = 1;
  uint32_t keys = 0;  // of each connection, or of all if they are shared; 0: the mode's default
  uint32_t counters = 4;
  uint32_t value_bytes = 100;
  double write_fraction = 0.1;
  double delete_fraction = 0;
  double increment_fraction = 0;
  uint32_t get_keys = 1;  // keys of one get
  uint64_t seed = 1;
  Mode mode = Mode::kExclusive;
  Preload preload = Preload::kYes;
  bool sweep = false;
  uint32_t timeout_s = 60;  // without a single reply
  int cpu_pid = 0;
  uint32_t show_wrong = 5;
};

// Exits with 2 (or 0 for --help) if the arguments make no sense.
Options parse_options(int argc, char** argv);

}  // namespace evenkeel::load
