#pragma once
// Which two pieces of code raced, from accesses seen in executions that came out wrong and in ones
// that did not. Suspicious are two accesses that the recorded order leaves unordered and no common
// lock keeps apart (happens-before and lockset: O'Callahan and Choi, PPoPP 2003), what one thread
// does to some bytes between two accesses of another if no serial order explains it (AVIO: Lu,
// Tucek, Qin, Zhou, ASPLOS 2006), and both the more the less they happen in executions that come
// out right.
// Threads: one. Memory: a counter for each triple of places seen. Errors: none.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/host/recorded_order.h"

namespace evenkeel::host {

struct Touch {
  uint64_t word;  // that was accessed
  bool write;
  uint64_t site;  // what stands for the place in the code
  Moment moment;
};

class RaceFinder {
 public:
  explicit RaceFinder(const RecordedOrder& order) : order_(order) {}

  // The accesses of one execution, in their order. `faulted`: the thread that crashed.
  void add(const std::vector<Touch>& touches, bool failed,
           std::optional<uint32_t> faulted = std::nullopt);

  struct Race {
    uint64_t first;     // site of the thread that was interrupted
    uint64_t second;    // of the one that came between
    uint64_t word;      // that both accessed
    bool concurrent;    // nothing orders the two
    bool serializable;  // as if the second had come before or after
    uint32_t failed;    // executions with it that came out wrong
    bool telling;       // hardly any with it came out right
  };
  // The most suspicious one.
  [[nodiscard]] std::optional<Race> find() const;

 private:
  using Pattern = std::array<uint64_t, 3>;  // sites: before, between, after; 0: there was none
  struct Count {
    uint32_t failed = 0;
    uint32_t fine = 0;
    uint32_t final = 0;             // crashes before which it came last in the thread that crashed
    uint32_t execution = 0;         // that it was last counted in
    uint32_t earlier_patterns = 0;  // in executions that came out wrong, summed up
    uint64_t word = 0;
    bool concurrent = false;        // the first two sites
    bool concurrent_after = false;  // the last two
    bool serializable = false;
    bool overwrites = false;  // what came between is lost: read, written by another, written
  };

  static const Touch* between(const std::vector<Touch>& touches, size_t before, size_t now);
  [[nodiscard]] bool race(const Touch& a, const Touch& b) const;
  Count& count(const Pattern& pattern, const Touch& touch, bool failed);

  const RecordedOrder& order_;
  std::map<Pattern, Count> counts_;
  uint32_t execution_ = 0;
  uint32_t patterns_of_execution_ = 0;  // seen so far
};

// Words that two threads accessed, one of them writing, with nothing that orders the two.
[[nodiscard]] std::vector<uint64_t> contested_words(const std::vector<Touch>& touches,
                                                    const RecordedOrder& order);

}  // namespace evenkeel::host
