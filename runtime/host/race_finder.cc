#include "runtime/host/race_finder.h"

#include <algorithm>
#include <tuple>

namespace evenkeel::host {
namespace {

// Both of one thread, `between` another's. True: as if the other had come before or after.
bool serializable(bool before_writes, bool between_writes, bool after_writes) {
  if (!between_writes) return !(before_writes && after_writes);
  // R-W-R, W-W-R and R-W-W have no equal serial order; of W-W-W only the last counts.
  return before_writes && after_writes;
}

// In eighths of certainty: how much more an interruption says than a mere conflict.
constexpr uint32_t kInterruption = 3;

}  // namespace

bool RaceFinder::race(const Touch& a, const Touch& b) const {
  return (a.write || b.write) && order_.concurrent(a.moment, b.moment);
}

RaceFinder::Count& RaceFinder::count(const Pattern& pattern, const Touch& touch, bool failed) {
  Count& count = counts_[pattern];
  if (count.execution != execution_) {
    ++(failed ? count.failed : count.fine);
    if (failed) count.earlier_patterns += patterns_of_execution_;
    ++patterns_of_execution_;
  }
  count.execution = execution_;
  count.word = touch.word;
  return count;
}

// What came between two accesses of one thread: of others' the last write, which is the one that
// shows; else the last read.
const Touch* RaceFinder::between(const std::vector<Touch>& touches, size_t before, size_t now) {
  const Touch* read = nullptr;
  for (size_t i = now; i-- > before + 1;) {
    const Touch& touch = touches[i];
    if (touch.word != touches[now].word) continue;
    if (touch.moment.thread == touches[now].moment.thread) continue;
    if (touch.write) return &touch;
    if (read == nullptr) read = &touch;
  }
  return touches[before].write || touches[now].write ? read : nullptr;
}

void RaceFinder::add(const std::vector<Touch>& touches, bool failed,
                     std::optional<uint32_t> faulted) {
  ++execution_;
  patterns_of_execution_ = 0;
  // Per word and thread: its last access. What others did since then comes between.
  std::map<std::pair<uint64_t, uint32_t>, size_t> latest;
  std::map<uint64_t, size_t> latest_of_word;
  Count* last = nullptr;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch& now = touches[i];
    const uint32_t thread = now.moment.thread;
    const auto own = latest.find({now.word, thread});
    if (const Touch* other = own != latest.end() ? between(touches, own->second, i) : nullptr) {
      const Touch& before = touches[own->second];
      Count& seen = count({before.site, other->site, now.site}, now, failed);
      seen.concurrent = seen.concurrent || race(before, *other);
      seen.concurrent_after = seen.concurrent_after || race(*other, now);
      seen.serializable = serializable(before.write, other->write, now.write);
      seen.overwrites = !before.write && other->write && now.write;
      if (thread == faulted) last = &seen;
    }
    const auto previous = latest_of_word.find(now.word);
    if (previous != latest_of_word.end()) {
      const Touch& before = touches[previous->second];
      if (before.moment.thread != thread && (before.write || now.write)) {
        Count& seen = count({before.site, now.site, 0}, now, failed);
        seen.concurrent = seen.concurrent || race(before, now);
        seen.serializable = true;
      }
    }
    latest[{now.word, thread}] = i;
    latest_of_word[now.word] = i;
  }
  if (last != nullptr) ++last->final;
}

std::optional<RaceFinder::Race> RaceFinder::find() const {
  std::optional<Race> best;
  std::tuple<bool, bool, uint32_t, uint32_t, bool, uint32_t, int64_t> best_score{};
  for (const auto& [pattern, count] : counts_) {
    const bool concurrent = count.concurrent || count.concurrent_after;
    if (count.failed == 0 && !concurrent) continue;
    // As if each had come out right once more (Laplace): one failure proves little. In eighths:
    // what differs by less is as good, and a lost write then says more than a stale read. A mere
    // conflict may only follow from what went wrong.
    const uint32_t share = 8 * count.failed / (count.failed + count.fine + 1);
    const uint32_t evidence = share + (count.serializable ? 0 : kInterruption);
    // What comes first is no consequence of the others.
    const int64_t early = -int64_t{count.earlier_patterns / std::max(count.failed, 1U)};
    const std::tuple score{concurrent,       count.failed != 0, evidence, count.final,
                           count.overwrites, count.failed,      early};
    if (best && score <= best_score) continue;
    best_score = score;
    best = Race{count.concurrent || !concurrent ? pattern[0] : pattern[2],
                pattern[1],
                count.word,
                concurrent,
                count.serializable,
                count.failed,
                8 * count.fine <= count.failed};
  }
  return best;
}

std::vector<uint64_t> contested_words(const std::vector<Touch>& touches,
                                      const RecordedOrder& order) {
  // Of accesses that are alike the first and the last one.
  using Kind = std::tuple<uint32_t, uint64_t, bool>;
  std::map<uint64_t, std::map<Kind, std::pair<size_t, size_t>>> kinds;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch& touch = touches[i];
    const Kind kind{touch.moment.thread, touch.site, touch.write};
    const auto [known, fresh] = kinds[touch.word].try_emplace(kind, i, i);
    if (!fresh) known->second.second = i;
  }
  const auto contested = [&](size_t a, size_t b) {
    return (touches[a].write || touches[b].write) &&
           order.concurrent(touches[a].moment, touches[b].moment);
  };
  std::vector<uint64_t> words;
  for (const auto& [word, seen] : kinds) {
    bool found = false;
    for (auto a = seen.begin(); a != seen.end() && !found; ++a) {
      for (auto b = std::next(a); b != seen.end() && !found; ++b) {
        found = contested(a->second.first, b->second.first) ||
                contested(a->second.second, b->second.second) ||
                contested(a->second.first, b->second.second) ||
                contested(a->second.second, b->second.first);
      }
    }
    if (found) words.push_back(word);
  }
  return words;
}

}  // namespace evenkeel::host
