#include "runtime/host/report_store.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

bool write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return !file.fail();
}

std::vector<std::string> stored_ids(const fs::path& directory) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() != ".txt") continue;
    found.emplace_back(entry.last_write_time(error), entry.path().stem().string());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> ids;
  for (auto& [time, id] : found) ids.push_back(std::move(id));
  return ids;
}

}  // namespace

ReportStore::ReportStore(fs::path directory)
    : directory_(std::move(directory)), known_(stored_ids(directory_)) {}

void ReportStore::name(Report& report) {
  const std::string base = fmt::format("{}-{}", report.pid, report.batch);
  report.id = base;
  for (int n = 2; std::find(known_.begin(), known_.end(), report.id) != known_.end(); ++n) {
    report.id = fmt::format("{}-{}", base, n);
  }
  known_.push_back(report.id);
}

void ReportStore::save(const Report& report) {
  const std::string json =
      render_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  const bool written = write_file(directory_ / (report.id + ".txt"), render_text(report)) &&
                       write_file(directory_ / (report.id + ".json"), json + "\n");
  if (!written) say("report {} cannot be written to {}", report.id, directory_.string());
  remove_oldest();
}

void ReportStore::remove_oldest() {
  while (known_.size() > kMaxReports) {
    std::error_code ignored;  // already gone is as good
    fs::remove(directory_ / (known_.front() + ".txt"), ignored);
    fs::remove(directory_ / (known_.front() + ".json"), ignored);
    known_.erase(known_.begin());
  }
}

std::vector<std::string> ReportStore::ids() const { return known_; }

std::string ReportStore::read(const std::string& id, bool json) const {
  if (std::find(known_.begin(), known_.end(), id) == known_.end()) return {};
  std::ifstream file(directory_ / (id + (json ? ".json" : ".txt")), std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace evenkeel::host
