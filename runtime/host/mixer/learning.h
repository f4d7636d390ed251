#pragma once
// --mixer learn: watches how batches that diverged are executed again, learns from it what to keep
// apart, and keeps that in the state directory.
//
// Threads: the coordinator's only one.
// Memory:  while a batch is repaired, the pages that its first kMaxWatched inputs wrote.
// Errors:  what cannot be read or written is said, and learnt anew.
#include <cstdint>
#include <filesystem>
#include <set>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/executor.h"
#include "runtime/host/mixer/conflicts.h"
#include "runtime/host/replicas.h"
#include "runtime/host/report.h"
#include "runtime/host/stats.h"

namespace evenkeel::host {

class Learning {
 public:
  // Inputs of a batch; what others wrote is not asked for, at some 50 us each.
  static constexpr uint32_t kMaxWatched = 512;

  // `on`: otherwise nothing is learnt, read or written.
  Learning(wire::Deck& deck, const Replicas& replicas, Executor& executor, Stats& stats,
           std::filesystem::path file, bool on);

  [[nodiscard]] const Conflicts& conflicts() const { return conflicts_; }

  // A batch is about to be grouped.
  void next_batch();

  // A batch diverged, and the replicas have been asked what differs.
  void begin(const Report& report);
  // An input has been executed alone, the replicas agreed, and its outputs are released: asks the
  // replicas what it wrote. Nothing happens without begin().
  void executed(uint32_t input);
  // The batch has been executed; adds to the report what was learnt.
  void end(const Batch& batch, Report& report);

 private:
  [[nodiscard]] bool struck(const wire::Input& input, const std::vector<uint64_t>& pages) const;
  void keep();

  wire::Deck& deck_;
  const Replicas& replicas_;
  Executor& executor_;
  Stats& stats_;
  std::filesystem::path file_;
  bool on_;
  Conflicts conflicts_;

  bool watching_ = false;
  std::set<uint64_t> pages_;                    // that differed
  std::set<wire::Channel> channels_;            // to which answers differed
  std::vector<std::vector<uint64_t>> written_;  // by input
};

}  // namespace evenkeel::host
