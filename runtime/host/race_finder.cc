#include "runtime/host/race_finder.h"

#include <tuple>

namespace evenkeel::host {
namespace {

// Both of one thread, `between` another's. True: as if the other had come before or after.
bool serializable(bool before_writes, bool between_writes, bool after_writes) {
  if (!between_writes) return !(before_writes && after_writes);
  // R-W-R, W-W-R and R-W-W have no equal serial order; of W-W-W only the last counts.
  return before_writes && after_writes;
}

}  // namespace

RaceFinder::Count& RaceFinder::count(const Pattern& pattern, bool failed) {
  Count& count = counts_[pattern];
  uint32_t& last = last_[pattern];
  if (last != execution_) ++(failed ? count.failed : count.fine);
  last = execution_;
  return count;
}

void RaceFinder::add(const std::vector<Touch>& touches, bool failed) {
  ++execution_;
  // Per word and thread: its last access. What others did since then comes between.
  std::map<std::pair<uint64_t, uint32_t>, size_t> latest;
  std::map<uint64_t, size_t> latest_of_word;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch& now = touches[i];
    if (const auto own = latest.find({now.word, now.thread}); own != latest.end()) {
      const Touch& before = touches[own->second];
      for (size_t k = own->second + 1; k < i; ++k) {
        const Touch& between = touches[k];
        if (between.word != now.word || between.thread == now.thread) continue;
        Count& seen = count({before.site, between.site, now.site}, failed);
        seen.serializable = serializable(before.write, between.write, now.write);
        seen.overwrites = !before.write && between.write && now.write;
      }
    }
    const auto previous = latest_of_word.find(now.word);
    if (previous != latest_of_word.end()) {
      const Touch& before = touches[previous->second];
      if (before.thread != now.thread && (before.write || now.write)) {
        count({before.site, now.site, 0}, failed).serializable = true;  // a mere conflict
      }
    }
    latest[{now.word, now.thread}] = i;
    latest_of_word[now.word] = i;
  }
}

std::optional<RaceFinder::Race> RaceFinder::find() const {
  std::optional<Race> best;
  std::tuple<bool, uint32_t, bool, uint32_t> best_score{};
  for (const auto& [pattern, count] : counts_) {
    if (count.failed == 0) continue;
    // As if each had come out right once more (Laplace): one failure proves little. In eighths:
    // what differs by less is as good, and a lost write then says more than a stale read.
    const uint32_t share = 8 * count.failed / (count.failed + count.fine + 1);
    const std::tuple score{!count.serializable, share, count.overwrites, count.failed};
    if (best && score <= best_score) continue;
    best_score = score;
    best = Race{pattern[0], pattern[1], count.serializable};
  }
  return best;
}

}  // namespace evenkeel::host
