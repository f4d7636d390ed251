#include "runtime/host/report_list.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "runtime/host/group_table.h"
#include "runtime/host/refusal.h"
#include "runtime/host/report_file.h"
#include "runtime/host/report_store.h"
#include "runtime/host/signature.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

struct Stored {
  std::string id;
  fs::file_time_type time;
  ReportHeader header;
};

using Complaints = std::vector<std::string>;

// Oldest first.
std::vector<Stored> stored_reports(const fs::path& directory, Complaints& complaints) {
  std::vector<Stored> found;
  std::error_code error;
  fs::directory_iterator files(directory, error);
  if (error) {
    throw Refusal(
        1, fmt::format("the reports in {} cannot be read: {}", directory.string(), error.message()),
        "run this as the user that runs the server");
  }
  for (const auto& entry : files) {
    if (entry.path().extension() != ".report") continue;
    const std::string id = entry.path().stem().string();
    try {
      const auto header = decode_header(read_whole(entry.path(), sizeof(ReportHeader)));
      found.push_back({id, entry.last_write_time(error), header});
    } catch (const std::exception& e) {
      complaints.push_back(fmt::format("report {} cannot be read: {}", id, e.what()));
    }
  }
  std::sort(found.begin(), found.end(), [](const Stored& a, const Stored& b) {
    return std::tie(a.time, a.id) < std::tie(b.time, b.id);
  });
  return found;
}

std::vector<Group> counted_groups(const fs::path& directory, Complaints& complaints) {
  try {
    return GroupTable::read(directory / "groups");
  } catch (const std::exception& e) {
    complaints.push_back(
        fmt::format("the counts of reports cannot be read: {}: {}; what is kept in full is counted",
                    (directory / "groups").string(), e.what()));
    return {};
  }
}

ReportRow row_of(const Group& group) {
  ReportRow row;
  row.signature = signature_text(group.signature);
  row.kind = static_cast<record::Kind>(group.kind);
  row.count = group.count;
  row.first_ns = group.first_ns;
  row.last_ns = group.last_ns;
  row.summary = group.summary;
  return row;
}

void merge(ReportRow& into, ReportRow&& row) {
  into.count += row.count;
  into.first_ns = std::min(into.first_ns, row.first_ns);
  if (row.last_ns > into.last_ns) {
    into.last_ns = row.last_ns;
    into.summary = std::move(row.summary);
  }
  for (std::string& id : row.ids) into.ids.push_back(std::move(id));
}

void add_stored(ReportRow& row, const Stored& stored, bool counted) {
  row.ids.push_back(stored.id);
  if (counted) return;
  row.signature = signature_text(stored.header.signature);
  row.kind = static_cast<record::Kind>(stored.header.kind);
  ++row.count;
  if (row.first_ns == 0) row.first_ns = stored.header.realtime_ns;
  row.last_ns = stored.header.realtime_ns;
}

// What is shown of a group: the youngest record's words, if it can be read.
void describe(ReportRow& row, const fs::path& directory, Complaints& complaints) {
  if (row.ids.empty()) return;
  row.id = row.ids.back();
  try {
    row.summary = summary_of(load_report(directory, row.id));
  } catch (const std::exception& e) {
    complaints.emplace_back(e.what());
  }
}

}  // namespace

ReportList list_reports(const fs::path& directory) {
  ReportList list;
  const std::vector<Stored> stored = stored_reports(directory, list.complaints);
  std::map<uint64_t, uint64_t> race;  // by signature
  for (const Stored& s : stored) {
    if (s.header.race != 0) race[s.header.signature] = s.header.race;
  }
  const std::vector<Group> groups = counted_groups(directory, list.complaints);
  std::map<uint64_t, ReportRow> by_signature;
  for (const Group& group : groups) by_signature[group.signature] = row_of(group);
  for (const Stored& s : stored) {
    const bool counted = std::any_of(groups.begin(), groups.end(), [&](const Group& group) {
      return group.signature == s.header.signature;
    });
    add_stored(by_signature[s.header.signature], s, counted);
  }
  std::map<uint64_t, ReportRow> by_race;
  for (auto& [signature, row] : by_signature) {
    const uint64_t key = race.contains(signature) ? race[signature] : signature;
    const auto [place, fresh] = by_race.try_emplace(key, row);
    if (!fresh) merge(place->second, std::move(row));
  }
  for (auto& [key, row] : by_race) {
    describe(row, directory, list.complaints);
    list.rows.push_back(std::move(row));
  }
  std::sort(list.rows.begin(), list.rows.end(), [](const ReportRow& a, const ReportRow& b) {
    return std::tie(a.last_ns, a.signature) < std::tie(b.last_ns, b.signature);
  });
  return list;
}

nlohmann::json rows_json(const std::vector<ReportRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReportRow& row : rows) {
    list.push_back({{"id", row.id},
                    {"ids", row.ids},
                    {"kind", name_of(row.kind)},
                    {"signature", row.signature},
                    {"count", row.count},
                    {"first_seen", time_text(row.first_ns)},
                    {"last_seen", time_text(row.last_ns)},
                    {"summary", row.summary}});
  }
  return {{"reports", list}};
}

Report load_report(const fs::path& directory, const std::string& name) {
  std::string id;
  Complaints ignored;
  for (const Stored& s : stored_reports(directory, ignored)) {
    if (s.id == name || signature_text(s.header.signature) == name) id = s.id;
  }
  std::error_code error;
  // One that is there, but not as it should be, is not "no report".
  if (id.empty() && name.find('/') == std::string::npos &&
      fs::exists(directory / (name + ".report"), error)) {
    id = name;
  }
  if (id.empty()) throw Refusal(1, fmt::format("no report {}", name), "see evenkeel report list");
  try {
    // The store's own bound, and then some.
    return decode_report(read_whole(directory / (id + ".report"), ReportStore::kMaxBytes * 2));
  } catch (const std::runtime_error& e) {
    throw Refusal(1, fmt::format("report {} cannot be read: {}", id, e.what()),
                  "see evenkeel report list for others");
  }
}

}  // namespace evenkeel::host
