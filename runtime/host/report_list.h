#pragma once
// Stored reports as the command line and the status page read them, while a run writes or after it.
// Errors: Refusal for what was asked for; lists leave out files that cannot be read, and say so.
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/host/report.h"

namespace evenkeel::host {

// All reports of one bug: of one signature, or of signatures whose diagnosis found one race.
struct ReportRow {
  std::string id;                // the youngest that is kept in full; empty: none is
  std::vector<std::string> ids;  // all of these, oldest first
  std::string signature;
  record::Kind kind = record::UNKNOWN_KIND;
  uint64_t count = 0;
  uint64_t first_ns = 0;  // CLOCK_REALTIME
  uint64_t last_ns = 0;
  std::string summary;
};

struct ReportList {
  std::vector<ReportRow> rows;          // oldest first, by their last time
  std::vector<std::string> complaints;  // about files that cannot be read
};

[[nodiscard]] ReportList list_reports(const std::filesystem::path& directory);
[[nodiscard]] nlohmann::json rows_json(const std::vector<ReportRow>& rows);

// By id; by signature the youngest.
[[nodiscard]] Report load_report(const std::filesystem::path& directory, const std::string& name);

}  // namespace evenkeel::host
