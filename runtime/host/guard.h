#pragma once
// The serializability guard's decisions. The primary says which interleavings of whole inputs it
// suspects (runtime/guard); the batch is then executed again, sequentially, and the answers are
// compared, connection by connection, with those of the suspected execution. What follows from that
// is said in interleavings.h. What is learnt the primary looks up in the deck, and suspects no
// more; it is kept in the state directory.
//
// Threads: the coordinator's only one.
// Memory:  the answers of a suspected batch; see Interleavings.
// Errors:  what cannot be read or written is said, and learnt anew.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/host/code_map.h"
#include "runtime/host/guard_file.h"
#include "runtime/host/interleavings.h"
#include "runtime/host/output_streams.h"
#include "runtime/host/report.h"
#include "runtime/host/stats.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Guard {
 public:
  // Tests of what is learnt are executions too: one in so many batches, all that are due together.
  static constexpr uint64_t kBatchesPerAudit = 4096;
  static constexpr uint64_t kMaxSavedAudits = 16;  // right away, when much is new

  Guard(wire::Deck& deck, Stats& stats, wire::Guard mode, std::filesystem::path file);

  // The replicas are up, with `pid` for addresses; the deck may be new.
  void started(pid_t pid);

  // To be called once for each parallel execution that agreed. True: it must be executed again.
  [[nodiscard]] bool suspects(uint32_t primary);
  // Begins to compare, before the output area of the suspected execution is reset.
  void begin_trial(uint32_t primary, Report& report);
  // Outputs of the re-execution as they are released; nothing happens without a trial.
  void add_outputs(const uint8_t* area, uint64_t bytes);
  // The re-execution is over; one that is not complete proves nothing. True: there is news for a
  // report.
  [[nodiscard]] bool end_trial(bool complete, Report& report);

  // The last execution diverged: what was learnt and took part in it is not harmless.
  void blame(uint32_t primary);

 private:
  static constexpr int kMaxShown = 8;  // interleavings of a report

  void add_audits(const wire::GuardResult& result);
  void load();
  void restore(const StoredInterleaving& stored);
  void keep();
  [[nodiscard]] std::optional<wire::CallSite> site_of(const StoredSite& stored);
  [[nodiscard]] std::optional<StoredSite> stored_site(const wire::CallSite& site);
  [[nodiscard]] std::string name_of(const wire::CallSite& site);
  void fill_table();
  [[nodiscard]] bool judge(bool harmless, Report& report);

  wire::Deck& deck_;
  Stats& stats_;
  wire::Guard mode_;
  std::filesystem::path file_;
  bool loaded_ = false;
  CodeMap code_;
  Interleavings interleavings_;
  std::vector<StoredInterleaving> absent_;  // of modules that are not loaded: kept as they are

  uint64_t audit_credit_ = kMaxSavedAudits * kBatchesPerAudit;  // batches
  bool on_trial_ = false;
  bool first_sight_ = false;  // of one of the accused
  std::vector<wire::Interleaving> accused_;
  OutputStreams suspected_;
  OutputStreams sequential_;
};

}  // namespace evenkeel::host
