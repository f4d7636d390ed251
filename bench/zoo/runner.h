#pragma once
// Runs of a pattern: a fresh server each, natively or under Evenkeel, its load, its end.
// Threads: one. Memory: nothing. Errors: std::runtime_error if a run could not be made at all.
#include <cstdint>
#include <filesystem>
#include <string>

#include "bench/zoo/options.h"
#include "bench/zoo/patterns.h"

namespace evenkeel::zoo {

struct NativeResult {
  uint64_t runs = 0;
  uint64_t manifested = 0;  // runs
  std::string why;          // of the first that did
};

struct ModeResult {
  std::string mode;
  uint64_t runs = 0;
  uint64_t wrong = 0;     // answers
  uint64_t outages = 0;   // runs
  uint64_t detected = 0;  // divergences, faults, and what the guard suspected
  uint64_t repaired = 0;  // of them, those after which the replicas agreed
  uint64_t missed = 0;    // runs in which a client saw the bug
  uint64_t leaks = 0;
  std::string why;  // of the first that was missed
};

// A directory that is removed with all that is in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Runner {
 public:
  explicit Runner(const Options& options);

  NativeResult run_natively(const Pattern& pattern);
  ModeResult run_under(const Mode& mode, const Pattern& pattern);

 private:
  [[nodiscard]] Words server(const Pattern& pattern, uint16_t port) const;
  [[nodiscard]] Words evenkeel(const char* command, const std::string& name) const;
  Seen run_once(const Pattern& pattern, const Words& command, uint16_t port, bool natively,
                ModeResult* result, const std::string& name);
  [[nodiscard]] std::filesystem::path state_directory() const;
  void await_diagnosis(const std::string& name, Process& process) const;
  void add_status(const std::string& name, ModeResult& result);

  const Options& options_;
  std::filesystem::path programs_;  // the directory of this one
  ScratchDirectory scratch_;
  uint64_t started_ = 0;
};

}  // namespace evenkeel::zoo
