#include "runtime/host/report_store.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/host/clock.h"
#include "runtime/host/privacy.h"
#include "runtime/host/refusal.h"
#include "runtime/host/signature.h"

namespace evenkeel::host {

namespace fs = std::filesystem;

ReportStore::ReportStore(fs::path directory, record::ReportBytes bytes)
    : directory_(std::move(directory)), bytes_(bytes), groups_(directory_ / "groups") {
  find_kept();
  remove_oldest();
}

void ReportStore::find_kept() {
  std::vector<std::pair<fs::file_time_type, Kept>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    if (entry.path().extension() == ".new") fs::remove(entry.path(), error);  // of a killed run
    if (entry.path().extension() != ".report") continue;
    Kept kept{entry.path().stem().string(), 0, entry.file_size(error)};
    const fs::path bundle = directory_ / (kept.id + kBundleExtension);
    if (fs::exists(bundle, error)) kept.bytes += fs::file_size(bundle, error);
    try {
      kept.signature = decode_header(read_whole(entry.path(), sizeof(ReportHeader))).signature;
    } catch (const std::exception&) {
      // Not readable, but it takes room: it goes in its turn.
    }
    found.emplace_back(entry.last_write_time(error), std::move(kept));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.id) < std::tie(b.first, b.second.id);
  });
  for (auto& [time, kept] : found) kept_.push_back(std::move(kept));
}

void ReportStore::admit(Report& report) {
  const uint64_t signature = signature_of(report);
  report.set_signature(signature_text(signature));
  report.set_occurrence(
      groups_.count(signature, report.kind(), report.realtime_ns(), summary_of(report)));
  if (!admit_in_full(signature)) return;
  report.set_id(new_id(report));
  kept_.push_back({report.id(), signature, 0});
}

bool ReportStore::admit_in_full(uint64_t signature) {
  if (by_signature_.size() >= GroupTable::kMaxGroups) by_signature_.clear();
  RateLimit& own = by_signature_.try_emplace(signature, kPerSignaturePerMinute).first->second;
  const uint64_t now = monotonic_ns();
  return own.admit(now) && all_.admit(now);
}

std::string ReportStore::new_id(const Report& report) const {
  const std::string base = fmt::format("{}-{}", report.run().pid(), report.batch());
  std::string id = base;
  const auto taken = [&](const Kept& kept) { return kept.id == id; };
  for (int n = 2; std::any_of(kept_.begin(), kept_.end(), taken); ++n) {
    id = fmt::format("{}-{}", base, n);
  }
  return id;
}

ReportStore::Kept* ReportStore::find(const std::string& id) {
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.id == id; });
  return found == kept_.end() ? nullptr : &*found;
}

void ReportStore::save(const Report& report, Durability durability) {
  Kept* kept = report.id().empty() ? nullptr : find(report.id());
  if (kept == nullptr) return;
  Report stored = withheld(report, bytes_);
  if (const uint64_t race = race_of(stored); race != 0) stored.set_race(signature_text(race));
  const std::string file = encode_report(stored);
  kept->bytes = file.size() + stored.diagnosis().bundle_bytes();
  try {
    write_whole(directory_ / (report.id() + ".report"), file, durability);
  } catch (const std::system_error& error) {
    say("report {} cannot be written to {}: {}", report.id(), directory_.string(),
        error.code().message());
  }
  remove_oldest();
}

void ReportStore::remove_oldest() {
  uint64_t bytes = 0;
  std::map<uint64_t, size_t> alike;
  for (const Kept& kept : kept_) {
    bytes += kept.bytes;
    ++alike[kept.signature];
  }
  while (kept_.size() > kMaxReports || (bytes > kMaxBytes && kept_.size() > 1)) {
    auto victim = std::find_if(kept_.begin(), kept_.end() - 1,
                               [&](const Kept& kept) { return alike[kept.signature] > 1; });
    if (victim == kept_.end() - 1) victim = kept_.begin();
    for (const char* extension : {".report", kBundleExtension}) {
      std::error_code ignored;  // already gone is as good
      fs::remove(directory_ / (victim->id + extension), ignored);
    }
    bytes -= victim->bytes;
    --alike[victim->signature];
    kept_.erase(victim);
  }
}

}  // namespace evenkeel::host
