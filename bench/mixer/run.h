#pragma once
// One point of the experiment: a server, a load, what came of it.
// Threads: one. Errors: std::runtime_error if the server does not start or an answer is wrong.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace evenkeel::bench {

enum class Side { kNative, kSequential, kMixed };
const char* name_of(Side side);

struct Setting {
  std::string experiment;
  Side side = Side::kMixed;
  double request_ms = 1;          // of real waiting, in each request
  unsigned keys = 10000;          // that all connections share: the parallelism there is
  unsigned threads = 16;          // of the server; as many carriers, four times as many connections
  unsigned false_conflicts = 0;   // one in N; 0: none
  unsigned missed_conflicts = 0;  // the same
};

struct Point {
  Setting setting;
  uint64_t requests = 0;
  double per_second = 0;
  uint64_t divergences = 0;
  uint64_t reexecutions = 0;
  uint64_t leaks = 0;
  double requests_per_batch = 0;
  double groups_per_batch = 0;  // of annotated requests
};

class Runner {
 public:
  // `seconds` of load for each point, about.
  explicit Runner(double seconds);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  Point run(const Setting& setting, uint64_t requests = 0);

 private:
  double seconds_;
  std::filesystem::path scratch_;
};

}  // namespace evenkeel::bench
