#pragma once
// What is known of each interleaving that was ever suspected, and whether it counts as harmless.
//
// A batch in which it was suspected is executed again, input by input. The same answers are a sign
// that it is harmless, other answers that it may not be (or that the order of the inputs mattered:
// nobody can tell). It is learnt after so many harmless batches in a row:
//   kRowOfTrusted    if no suspect batch of this server has ever changed an answer;
//   kRowOfProven     if in addition kProven others have been learnt: rare ones keep turning up for
//                    hours, and would cost a row each for what the frequent ones have shown;
//   kRow             if some has, but never with this interleaving;
//   kRowOfStriped    if it was seen at more than kFewLocks locks: where locks are many, each guards
//                    many data, two inputs seldom meant the same, and one batch proves little;
//   kRowOfConvicted  if an answer was changed with it.
// What does harm in a share p of its batches is learnt with probability (1 - p)^row. Therefore a
// learnt one is put to the test again at its 64th, 256th, 1,024th... next sighting (or later: the
// guard has a budget of tests), and unlearnt by one changed answer; so it is when a batch with it
// diverges. Each time its row is twice as long.
//
// Threads: the coordinator's only one. Memory: kMaxStandings entries.
// Errors:  beyond that an interleaving stays suspect for ever.
#include <array>
#include <cstdint>
#include <unordered_map>

#include "runtime/wire.h"

namespace evenkeel::host {

class Interleavings {
 public:
  static constexpr uint32_t kRowOfTrusted = 8;
  static constexpr uint32_t kRowOfProven = 3;
  static constexpr uint64_t kProven = 6;
  static constexpr uint32_t kRow = 64;
  static constexpr uint32_t kRowOfStriped = 256;
  static constexpr uint32_t kRowOfConvicted = 1024;
  static constexpr size_t kFewLocks = 4;
  static constexpr uint32_t kFirstAudit = 64;  // sightings after it was learnt
  static constexpr uint32_t kAuditGrowth = 4;
  static constexpr uint32_t kMaxDoublings = 10;
  static constexpr size_t kMaxStandings = 65536;

  struct Standing {
    wire::CallSite before, between, after;
    uint32_t unlearnt = 0;  // times
    bool convicted = false;
    bool learnt = false;
    uint32_t harmless = 0;                       // batches in a row
    std::array<uint64_t, kFewLocks> locks = {};  // at which it was seen
    bool striped = false;                        // and at others
    uint64_t sightings = 0;                      // since it was learnt
    uint64_t next_audit = kFirstAudit;
  };
  using Standings = std::unordered_map<uint64_t, Standing>;

  enum class Change : uint32_t { kNone, kLearnt, kUnlearnt };
  // A batch with it was executed again: with the same answers, or with others.
  Change judge(const wire::Interleaving& suspect, bool harmless);
  // It is learnt and was seen. True: it is to be put to the test.
  bool sighted(uint64_t key);
  // It was found in a batch that diverged.
  Change blame(uint64_t key);

  // As an earlier run left it.
  void restore(const Standing& standing);
  void restore_record(bool answers_changed) { answers_changed_ = answers_changed; }

  [[nodiscard]] const Standing* find(uint64_t key) const;
  [[nodiscard]] const Standings& all() const { return standings_; }
  [[nodiscard]] uint64_t learnt() const { return learnt_; }
  // Whether any suspect batch ever did.
  [[nodiscard]] bool answers_changed() const { return answers_changed_; }
  [[nodiscard]] uint32_t row_needed(const Standing& standing) const;

 private:
  Standing* add(const wire::Interleaving& suspect);
  static void note_lock(Standing& standing, uint64_t lock);
  Change unlearn(Standing& standing);

  Standings standings_;
  uint64_t learnt_ = 0;
  bool answers_changed_ = false;
};

}  // namespace evenkeel::host
