#pragma once
// What differs, found by asking the replicas: changed pages, then their bytes and heap objects,
// then the outputs. Fills in a Report. Threads: the coordinator's only one, between an execution
// and its rollback.
#include <map>
#include <string>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/executor.h"
#include "runtime/host/replicas.h"
#include "runtime/host/report.h"

namespace evenkeel::host {

class Evidence {
 public:
  // Shown in a report; what is more is counted in it.
  static constexpr size_t kMaxDifferences = 32;
  static constexpr size_t kMaxInputs = 64;
  static constexpr size_t kMaxOutputs = 8;
  static constexpr size_t kPreviewBytes = 48;
  static constexpr uint64_t kMaxShownBytes = 32;  // of one value

  Evidence(wire::Deck& deck, const Replicas& replicas, Executor& executor)
      : deck_(deck), replicas_(replicas), executor_(executor) {}

  // Issues kDescribe and kDump: output areas and results of the execution are gone afterwards.
  // `batch` may be null (start-up).
  [[nodiscard]] Report collect(ReportKind kind, const Batch* batch, const std::string& server);
  // Replicas agree, and yet something is wrong: who waits for what, in place of what differs.
  [[nodiscard]] Report collect_waits(ReportKind kind, const Batch& batch,
                                     const std::string& server);
  // Without asking the replicas, who do not answer any more.
  [[nodiscard]] Report collect_silently(ReportKind kind, const Batch* batch,
                                        const std::string& server);

 private:
  void add_replicas(Report& report);
  void add_inputs(Report& report, const Batch& batch);
  void add_outputs(Report& report);
  void add_memory(Report& report);
  void add_waits(Report& report);
  std::vector<uint64_t> differing_pages(Report& report);
  void compare_page(Report& report, uint64_t page);
  void add_difference(Report& report, uint64_t page, uint64_t begin, uint64_t end);
  [[nodiscard]] const wire::PageDump* dump_of(uint32_t replica, uint64_t page) const;
  [[nodiscard]] std::string status_text(uint32_t replica) const;
  [[nodiscard]] std::string caught_text(uint32_t replica) const;
  void name_place(Difference& difference, uint64_t address);
  void name_waits(std::vector<WaitView>& waits);
  bool name_named_object(Difference& difference, uint64_t address) const;
  bool name_heap_object(Difference& difference, uint64_t address, uint64_t page) const;
  void name_region(Difference& difference, uint64_t address) const;

  wire::Deck& deck_;
  const Replicas& replicas_;
  Executor& executor_;
};

}  // namespace evenkeel::host
