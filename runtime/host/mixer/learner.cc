#include "runtime/host/mixer/learner.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace evenkeel::host {
namespace {

using Pair = Conflicts::Pair;
using Side = Conflicts::Side;

bool ran_together(const Deed& a, const Deed& b) {
  return &a != &b && a.group == b.group && a.channel != b.channel;
}

bool share_a_page(const Deed& a, const Deed& b) {
  for (auto x = a.pages.begin(), y = b.pages.begin(); x != a.pages.end() && y != b.pages.end();) {
    if (*x == *y) return true;
    *x < *y ? ++x : ++y;
  }
  return false;
}

// An explanation by a word that more of the pairs share, where there are more than a few, is none.
constexpr double kMostShared = 0.5;
constexpr uint64_t kFewPairs = 2;

class Case {
 public:
  explicit Case(std::span<const Deed> deeds) : deeds_(deeds) {
    const bool nobody = std::none_of(deeds.begin(), deeds.end(), [](auto& d) { return d.struck; });
    for (const Deed& deed : deeds) {
      if ((deed.struck || nobody) && struck_.size() < kMaxStruck) struck_.push_back(&deed);
    }
  }

  std::vector<Pair> solve() {
    std::vector<const Deed*> unexplained;
    for (const Deed* deed : struck_) {
      const auto words = explain_by_words(*deed);
      words ? void(found_.insert(*words)) : unexplained.push_back(deed);
    }
    // Otherwise they may have been struck only because their data lie beside others'.
    if (found_.empty()) {
      for (const Deed* deed : unexplained) explain_by_kinds(*deed, unexplained);
    }
    return {found_.begin(), found_.end()};
  }

 private:
  // How often each word stands there, over all requests of the batch.
  const std::map<std::string_view, uint64_t>& words_at(const Side& side) {
    const auto [at, fresh] = words_.try_emplace(side);
    if (!fresh) return at->second;
    for (const Deed& deed : deeds_) {
      for (const Phrase& phrase : deed.phrases) {
        if (phrase.kind == side.kind && phrase.has(side.word)) {
          ++at->second[phrase.word(side.word)];
        }
      }
    }
    return at->second;
  }

  // In which share of all pairs of requests of these kinds are the two words the same?
  double share_of(const Pair& pair) {
    const auto [known, fresh] = shares_.try_emplace(pair, 0.0);
    if (!fresh) return known->second;
    const bool alike = pair.first == pair.second;
    uint64_t firsts = 0;
    uint64_t seconds = 0;
    uint64_t same = 0;
    const auto& others = words_at(pair.second);
    for (const auto& [word, times] : others) seconds += times;
    for (const auto& [word, times] : words_at(pair.first)) {
      firsts += times;
      const auto there = others.find(word);
      if (there != others.end()) same += times * (there->second - (alike ? 1 : 0));
    }
    const uint64_t pairs = firsts * (seconds - (alike ? 1 : 0));
    const double share = pairs == 0 ? 1 : static_cast<double>(same) / static_cast<double>(pairs);
    known->second = pairs <= kFewPairs ? std::min(share, kMostShared) : share;
    return known->second;
  }

  // Of two requests, and how good an explanation it is: the less the better.
  using Explanation = std::tuple<double, uint32_t, Pair>;
  void compare(const Phrase& a, const Phrase& b, std::optional<Explanation>& best) {
    for (uint32_t i = 1; i <= a.count; ++i) {
      for (uint32_t k = 1; k <= b.count; ++k) {
        if (a.word(i) != b.word(k)) continue;
        const Pair pair = Conflicts::pair_of({std::string(a.kind), i}, {std::string(b.kind), k});
        Explanation explanation{share_of(pair), i + k, pair};
        if (std::get<double>(explanation) > kMostShared) continue;
        if (!best || explanation < *best) best = std::move(explanation);
      }
    }
  }

  std::optional<Pair> explain_by_words(const Deed& deed) {
    std::optional<Explanation> best;
    const auto compare_with = [&](const Deed& other, bool of_other_kinds) {
      if (!ran_together(deed, other)) return;
      for (const Phrase& a : deed.phrases) {
        for (const Phrase& b : other.phrases) {
          if (!of_other_kinds || a.kind != b.kind) compare(a, b, best);
        }
      }
    };
    for (const Deed* other : struck_) compare_with(*other, false);
    if (!best) {
      for (const Deed& other : deeds_) compare_with(other, true);
    }
    if (!best) return std::nullopt;
    return std::get<Pair>(*best);
  }

  void explain_by_kinds(const Deed& deed, const std::vector<const Deed*>& unexplained) {
    const auto with = [&](auto&& others, auto condition) {
      bool any = false;
      for (const Deed* other : others) {
        if (!ran_together(deed, *other) || !condition(*other)) continue;
        any = true;
        for (const Phrase& a : deed.phrases) {
          for (const Phrase& b : other->phrases) {
            found_.insert(Conflicts::pair_of({std::string(a.kind), 0}, {std::string(b.kind), 0}));
          }
        }
      }
      return any;
    };
    const auto near = [&](const Deed& other) { return share_a_page(deed, other); };
    const auto any = [](const Deed&) { return true; };
    if (with(unexplained, near) || with(struck_, near)) return;
    if (with(unexplained, any) || with(struck_, any)) return;
    std::vector<const Deed*> all;
    for (const Deed& other : deeds_) all.push_back(&other);
    with(all, near);
  }

  std::span<const Deed> deeds_;
  std::vector<const Deed*> struck_;
  std::set<Pair> found_;
  std::map<Side, std::map<std::string_view, uint64_t>> words_;
  std::map<Pair, double> shares_;
};

}  // namespace

std::vector<Conflicts::Pair> conflicts_of(std::span<const Deed> deeds) {
  return Case(deeds).solve();
}

}  // namespace evenkeel::host
