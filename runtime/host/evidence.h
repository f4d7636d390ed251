#pragma once
// What differs, found by asking the replicas: changed pages, then their bytes and heap objects,
// then the outputs. Fills in a Report. Threads: the coordinator's only one, between an execution
// and its rollback.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/code_map.h"
#include "runtime/host/executor.h"
#include "runtime/host/replicas.h"
#include "runtime/host/report.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {

// The pages in which live replicas differ, by their last kDescribe, each with replicas and hashes.
using PageHashes = std::map<uint64_t, std::vector<std::pair<uint32_t, wire::Token>>>;
[[nodiscard]] PageHashes hashes_that_differ(const wire::Deck& deck, uint32_t live_mask);

class Evidence {
 public:
  // Held by a record; what is more is counted in it.
  static constexpr int kMaxDifferences = 32;
  static constexpr int kMaxInputs = 4096;
  static constexpr uint64_t kMaxInputBytes = 1 << 20;  // of all payloads together
  static constexpr int kMaxOutputs = 8;
  static constexpr int kMaxLeaves = 64;
  static constexpr uint64_t kAroundBytes = 16;     // shown before and behind a difference
  static constexpr uint64_t kMaxValueBytes = 256;  // of one value

  Evidence(wire::Deck& deck, const Replicas& replicas, Executor& executor, record::Run run)
      : deck_(deck), replicas_(replicas), executor_(executor), run_(std::move(run)) {}

  // Issues kDescribe and kDump: output areas and results of the execution are gone afterwards.
  // `batch` may be null (start-up).
  [[nodiscard]] Report collect(record::Kind kind, const Batch* batch);
  // Replicas agree, and yet something is wrong: who waits for what, in place of what differs.
  [[nodiscard]] Report collect_waits(record::Kind kind, const Batch& batch);
  // Without asking the replicas, who do not answer any more.
  [[nodiscard]] Report collect_silently(record::Kind kind, const Batch* batch);

  // The object that holds `address`, and where in it: asks the replicas for the page.
  [[nodiscard]] std::pair<record::Object, uint64_t> name(uint64_t address);

 private:
  void add_replicas(Report& report);
  void add_fault(record::Report& report, record::Replica& view, const wire::Result& result);
  void add_inputs(Report& report, const Batch& batch);
  void add_outputs(Report& report);
  void add_memory(Report& report);
  void add_waits(Report& report);
  std::vector<uint64_t> differing_pages(Report& report);
  void compare_page(Report& report, uint64_t page);
  void add_difference(Report& report, uint64_t page, uint64_t begin, uint64_t end);
  [[nodiscard]] const wire::PageDump* dump_of(uint32_t replica, uint64_t page) const;
  [[nodiscard]] std::string status_text(uint32_t replica);
  [[nodiscard]] std::string caught_text(Report& report, uint32_t replica);
  // The object that holds `address`, and where in it.
  std::pair<record::Object, uint64_t> name_place(uint64_t address);
  void name_waits(WaitList& waits);
  bool name_named_object(record::Object& object, uint64_t& offset, uint64_t address) const;
  bool name_heap_object(record::Object& object, uint64_t& offset, uint64_t address) const;
  void name_region(record::Object& object, uint64_t& offset, uint64_t address);

  wire::Deck& deck_;
  const Replicas& replicas_;
  Executor& executor_;
  record::Run run_;
  CodeMap code_;
};

}  // namespace evenkeel::host
