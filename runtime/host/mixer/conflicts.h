#pragma once
// What was learnt: which kinds of requests do not run together, always or if they share a word.
//
// A conflict lasts kFirstLife batches. Then it is forgotten, to see whether it still is one: if it
// is learnt again, it lasts twice as long. So what never changes costs a divergence in 10,000,
// 20,000, 40,000... batches, and what was only believed, or is repaired, costs speed no longer.
// Threads: the coordinator's only one. Memory: kMost conflicts.
// Errors:  beyond that, the one that would be forgotten first gives way.
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/host/mixer/phrases.h"
#include "runtime/host/mixer/requests.h"

namespace evenkeel::host {

class Conflicts {
 public:
  static constexpr size_t kMost = 256;
  static constexpr uint64_t kFirstLife = 10000;
  static constexpr uint32_t kMaxDoublings = 16;

  struct Side {
    std::string kind;
    uint32_t word = 0;  // 0: whatever its words are
    friend auto operator<=>(const Side&, const Side&) = default;
  };
  using Pair = std::pair<Side, Side>;  // ascending; both have a word, or none has
  struct Standing {
    uint32_t confirmed = 1;
    uint64_t until = 0;  // the batch in which it is forgotten; 0: it is
  };

  [[nodiscard]] static Pair pair_of(Side one, Side other);

  // A batch is about to be grouped. True: something was forgotten.
  bool next_batch();
  // True: that is news.
  bool learn(const Pair& pair);
  // As an earlier run left it.
  void restore(const Pair& pair, uint32_t confirmed, uint64_t batches_left);

  // Adds a request's keys, whose names say which conflicts they stand for.
  void add_keys(const Phrase& phrase, Requests& out) const;

  // The same, in memory that lasts until something is learnt or forgotten.
  [[nodiscard]] std::string_view known_kind(std::string_view kind) const;

  [[nodiscard]] const std::map<Pair, Standing>& all() const { return all_; }
  [[nodiscard]] uint64_t batches_left(const Standing& standing) const {
    return standing.until > now_ ? standing.until - now_ : 0;
  }
  [[nodiscard]] uint64_t count() const;  // not forgotten

 private:
  // What a request of some kind has to do with a conflict.
  struct Part {
    std::string space;  // name of the keys
    uint64_t space_id = 0;
    uint32_t word = 0;
    mixer::Access access = mixer::Access::kWrite;
  };

  void make_room();
  void index();

  std::map<Pair, Standing> all_;
  std::map<std::string, std::vector<Part>, std::less<>> parts_;  // by kind, of those that stand
  uint64_t now_ = 0;
  uint64_t next_end_ = UINT64_MAX;
};

}  // namespace evenkeel::host
