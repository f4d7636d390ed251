#pragma once
// Reports as files: ID.report under STATE/NAME/reports, beside the counts of all. They outlive the
// run. Every report is counted under its signature; of many alike only some are kept in full.
//
// Threads: the coordinator's only one. Other processes read (report_list.h).
// Memory:  a line per report kept.
// Errors:  what cannot be written is said on stderr: the service goes on.
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>

#include "runtime/host/group_table.h"
#include "runtime/host/rate_limit.h"
#include "runtime/host/report.h"
#include "runtime/host/report_file.h"

namespace evenkeel::host {

class ReportStore {
 public:
  // Beyond either, the oldest go; first those of which there is another of the same signature.
  static constexpr size_t kMaxReports = 256;
  static constexpr uint64_t kMaxBytes = 256 << 20;  // with the bundles
  // Kept in full; more are counted. A report costs a write to the disk, about 10 ms on a slow one.
  static constexpr uint64_t kPerMinute = 60;
  static constexpr uint64_t kPerSignaturePerMinute = 8;

  ReportStore(std::filesystem::path directory, record::ReportBytes bytes);

  // Counts the report. If it is to be kept in full it gets its id, from pid and batch: "41207-118",
  // a second one "41207-118-2". Otherwise the id stays empty.
  void admit(Report& report);
  // Stores an admitted report, less what --report-bytes withholds. Nothing without an id.
  void save(const Report& report, Durability durability);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  struct Kept {
    std::string id;
    uint64_t signature;
    uint64_t bytes;
  };

  void find_kept();
  [[nodiscard]] bool admit_in_full(uint64_t signature);
  [[nodiscard]] std::string new_id(const Report& report) const;
  [[nodiscard]] Kept* find(const std::string& id);
  void remove_oldest();

  std::filesystem::path directory_;
  record::ReportBytes bytes_;
  GroupTable groups_;
  std::deque<Kept> kept_;  // oldest first
  RateLimit all_{kPerMinute};
  std::map<uint64_t, RateLimit> by_signature_;  // at most kMaxGroups
};

}  // namespace evenkeel::host
