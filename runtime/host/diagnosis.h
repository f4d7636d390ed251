#pragma once
// Diagnoses failed batches beside the service. The rollback leaves a frozen copy of the primary
// behind; a process of low priority stores it as ID.bundle, executes the batch again from there
// (experiment.h), and what it finds is added to the report. The service waits for the copy only.
//
//   prepare() ──rollback──► begin() ──► stores ──► experiments ──ends──► attend(): report complete
//
// Sampled: one at a time, few a minute, each signature until it has been seen to repeat.
// Threads: the coordinator's only one. Memory: what of the deck belongs to the batch.
// Errors:  none: a diagnosis that fails says so in the report.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/executor.h"
#include "runtime/host/launcher.h"
#include "runtime/host/options.h"
#include "runtime/host/rate_limit.h"
#include "runtime/host/report_store.h"
#include "runtime/host/state_file.h"

namespace evenkeel::host {

class Diagnosis {
 public:
  struct Parts {
    wire::Deck& deck;
    Replicas& replicas;
    Executor& executor;
    ReportStore& reports;
    const Launch& launch;
  };

  Diagnosis(const Parts& parts, const Options& options) : parts_(parts), options_(options) {}
  ~Diagnosis();
  Diagnosis(const Diagnosis&) = delete;
  Diagnosis& operator=(const Diagnosis&) = delete;

  // Before the rollback of the execution that was command `sequence`.
  void prepare(const Report& report, const Batch& batch, uint32_t sequence);
  // The report is complete. `agreed`: the batch came out well, and this is its token.
  void begin(const Report& report, bool agreed);
  // Between batches.
  void attend() {
    if (worker_ > 0) [[unlikely]]
      look();
  }
  // How long an idle coordinator may wait before it calls attend() again.
  [[nodiscard]] uint64_t patience_ns() const { return worker_ > 0 ? kLookNs : UINT64_MAX; }

 private:
  static constexpr uint64_t kPerMinute = 6;
  static constexpr uint32_t kTriesPerSignature = 3;  // until the race has repeated
  static constexpr size_t kMaxSignatures = 1024;     // more: forgets them all
  static constexpr uint64_t kTimeoutNs = 60'000'000'000;
  static constexpr uint64_t kLookNs = 10'000'000;

  [[nodiscard]] bool wants(const Report& report);
  [[nodiscard]] bool is_frozen_copy(pid_t pid) const;
  [[nodiscard]] nlohmann::json describe(bool agreed) const;
  [[noreturn]] void work(const nlohmann::json& text) const;
  void look();
  void finish(const std::string& failure);
  void thaw();

  Parts parts_;
  const Options& options_;
  RateLimit limit_{kPerMinute};
  std::map<std::string, uint32_t> tries_;  // by signature
  std::vector<DeckPart> batch_;            // not empty: prepared
  uint32_t sequence_ = 0;
  uint32_t input_count_ = 0;
  Report report_;  // under diagnosis
  std::string bundle_;
  pid_t frozen_ = -1;
  pid_t worker_ = -1;
  uint64_t started_ns_ = 0;
  uint64_t looked_ns_ = 0;
};

}  // namespace evenkeel::host
