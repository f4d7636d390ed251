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

void RaceFinder::count(const Pattern& pattern, bool explained, bool failed) {
  uint32_t& last = last_[pattern];
  if (last == execution_) return;
  last = execution_;
  Count& count = counts_[pattern];
  count.serializable = explained;
  ++(failed ? count.failed : count.fine);
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
        count({before.site, between.site, now.site},
              serializable(before.write, between.write, now.write), failed);
      }
    }
    const auto previous = latest_of_word.find(now.word);
    if (previous != latest_of_word.end()) {
      const Touch& before = touches[previous->second];
      if (before.thread != now.thread && (before.write || now.write)) {
        count({before.site, now.site, 0}, true, failed);  // a mere conflict
      }
    }
    latest[{now.word, now.thread}] = i;
    latest_of_word[now.word] = i;
  }
}

std::optional<RaceFinder::Race> RaceFinder::find() const {
  std::optional<Race> best;
  std::tuple<bool, double, uint32_t> best_score{};
  for (const auto& [pattern, count] : counts_) {
    if (count.failed == 0) continue;
    // As if each had come out right once more (Laplace): one failure proves little.
    const double share = static_cast<double>(count.failed) / (count.failed + count.fine + 1);
    const std::tuple<bool, double, uint32_t> score{!count.serializable, share, count.failed};
    if (best && score <= best_score) continue;
    best_score = score;
    best = Race{pattern[0], pattern[1], count.serializable};
  }
  return best;
}

}  // namespace evenkeel::host
