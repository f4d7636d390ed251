#pragma once
// Reports as files: ID.txt and ID.json under STATE/NAME/reports. They outlive the run.
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/host/report.h"

namespace evenkeel::host {

class ReportStore {
 public:
  // Two small files each; older ones are removed.
  static constexpr size_t kMaxReports = 256;

  explicit ReportStore(std::filesystem::path directory);

  // Gives the report its id, from pid and batch: "41207-118", a second one "41207-118-2".
  void name(Report& report);
  // Stores a named report. A failure to write is said on stderr: the service goes on.
  void save(const Report& report);

  [[nodiscard]] std::vector<std::string> ids() const;  // oldest first
  // Contents of one rendering; empty: no such report.
  [[nodiscard]] std::string read(const std::string& id, bool json) const;

 private:
  void remove_oldest();

  std::filesystem::path directory_;
  std::vector<std::string> known_;  // oldest first
};

}  // namespace evenkeel::host
