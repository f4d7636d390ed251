#pragma once
// Which two pieces of code raced, from accesses seen in executions that came out wrong and in ones
// that did not. What one thread does to some bytes between two accesses of another is suspicious if
// no serial order explains it (AVIO: Lu, Tucek, Qin, Zhou, ASPLOS 2006), and the more so the less
// it happens in executions that come out right.
// Threads: one. Memory: a counter for each triple of places seen. Errors: none.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace evenkeel::host {

struct Touch {
  uint32_t thread;
  uint64_t word;  // that was accessed
  bool write;
  uint64_t site;  // what stands for the place in the code
};

class RaceFinder {
 public:
  // The accesses of one execution, in their order.
  void add(const std::vector<Touch>& touches, bool failed);

  struct Race {
    uint64_t first;     // site of the thread that was interrupted
    uint64_t second;    // of the one that came between
    bool serializable;  // only a conflict: it need not be the cause
  };
  [[nodiscard]] std::optional<Race> find() const;

 private:
  using Pattern = std::array<uint64_t, 3>;  // sites: before, between, after; 0: there was none
  struct Count {
    uint32_t failed = 0;
    uint32_t fine = 0;
    bool serializable = false;
    bool overwrites = false;  // what came between is lost: read, written by another, written
  };

  Count& count(const Pattern& pattern, bool failed);

  std::map<Pattern, Count> counts_;
  uint32_t execution_ = 0;
  std::map<Pattern, uint32_t> last_;  // execution that it was counted in
};

}  // namespace evenkeel::host
