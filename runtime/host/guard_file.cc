#include "runtime/host/guard_file.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "runtime/host/report_file.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kFormat[] = "evenkeel-guard";

json to_json(const StoredSite& site) {
  return {{"module", site.place.module},
          {"build", site.place.build},
          {"offset", site.place.offset},
          {"depth", site.depth}};
}

json to_json(const StoredInterleaving& i) {
  return {{"before", to_json(i.before)}, {"between", to_json(i.between)},
          {"after", to_json(i.after)},   {"unlearnt", i.unlearnt},
          {"convicted", i.convicted},    {"learnt", i.learnt}};
}

StoredSite site_from(const json& text) {
  return {{text.at("module"), text.at("build"), text.at("offset")}, text.at("depth")};
}

GuardRecord parse(const json& document, std::string& complaint) {
  GuardRecord record;
  if (document.at("format") != kFormat) {
    complaint = "it is another program's";
    return record;
  }
  if (const int version = document.at("version"); version != kGuardFileVersion) {
    complaint = fmt::format("its format is version {}, not {}", version, kGuardFileVersion);
    return record;
  }
  record.answers_changed = document.at("answers_changed");
  for (const json& entry : document.at("interleavings")) {
    record.interleavings.push_back({site_from(entry.at("before")), site_from(entry.at("between")),
                                    site_from(entry.at("after")), entry.at("unlearnt"),
                                    entry.at("convicted"), entry.at("learnt")});
  }
  return record;
}

}  // namespace

GuardRecord read_guard_file(const fs::path& path, std::string& complaint) {
  std::ifstream input(path, std::ios::binary);
  if (!input.is_open()) return {};  // the first run
  try {
    return parse(json::parse(input), complaint);
  } catch (const json::exception&) {
    complaint = "it is damaged";
    return {};
  }
}

bool write_guard_file(const fs::path& path, const GuardRecord& record) {
  json list = json::array();
  for (const StoredInterleaving& i : record.interleavings) list.push_back(to_json(i));
  const json document = {{"format", kFormat},
                         {"version", kGuardFileVersion},
                         {"answers_changed", record.answers_changed},
                         {"interleavings", std::move(list)}};
  const std::string text = document.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
  try {
    write_whole(path, text, Durability::kProcess);
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

}  // namespace evenkeel::host
