// evenkeel report list, show, html, export.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "runtime/host/bundle.h"
#include "runtime/host/commands.h"
#include "runtime/host/refusal.h"
#include "runtime/host/report_file.h"
#include "runtime/host/report_html.h"
#include "runtime/host/report_list.h"
#include "runtime/host/source_lines.h"
#include "runtime/host/state_dir.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

void print_json(const nlohmann::json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

// One line for each bug, the one seen last at the end.
int list(const fs::path& reports, bool json) {
  const auto [rows, complaints] = list_reports(reports);
  for (const std::string& complaint : complaints) say("{}", complaint);
  if (json) print_json(rows_json(rows));
  for (const ReportRow& row : rows) {
    if (json) break;
    fmt::print("{:<16} {} {:>6} x  {}\n", row.id.empty() ? row.signature : row.id,
               time_text(row.last_ns), row.count, row.summary);
  }
  return 0;
}

int show(const Report& report, bool json) {
  json ? print_json(render_json(report)) : fmt::print("{}", render_text(report));
  return 0;
}

int make_page(const Report& report, const fs::path& file) {
  try {
    write_whole(file, render_html(report), Durability::kProcess);
  } catch (const std::system_error& error) {
    throw Refusal(1, fmt::format("{} cannot be written: {}", file.string(), error.code().message()),
                  "choose another file with -o, or make room");
  }
  return 0;
}

int make_bundle(const Report& report, const fs::path& reports, const fs::path& file) {
  const fs::path state = reports / (report.id() + kBundleExtension);
  std::error_code error;
  if (!fs::exists(state, error)) {
    throw Refusal(1,
                  fmt::format("report {} has no stored state that could be replayed", report.id()),
                  "choose another of its signature, or share its page: evenkeel report html");
  }
  write_bundle(file, report, state);
  return 0;
}

// By id or signature; or of a bundle, by the path of its file.
Report find_report(const std::string& name, const Options& options) {
  std::error_code error;
  if (name.find('/') != std::string::npos && fs::is_regular_file(name, error)) {
    return read_bundled_report(name);
  }
  return load_report(StateDir::find(options).reports(), name);
}

}  // namespace

int report_command(const CommandLine& line) {
  const std::vector<std::string>& words = line.words;
  const std::string verb = words.empty() ? "" : words[0];
  const bool writes = verb == "html" || verb == "export";
  if ((verb != "list" && verb != "show" && !writes) || words.size() != (verb == "list" ? 1U : 2U)) {
    throw Refusal(kExitUsage, "report wants 'list', 'show ID', 'html ID' or 'export ID'",
                  "see evenkeel report --help");
  }
  const std::string& file = line.options.output;
  if (writes && file.empty()) {
    throw Refusal(kExitUsage, fmt::format("report {} needs a file to write", verb),
                  "name it with -o FILE");
  }
  if (verb == "list") return list(StateDir::find(line.options).reports(), line.options.json);
  Report report = find_report(words[1], line.options);
  SourceLines().resolve(report);
  if (verb == "html") return make_page(report, file);
  if (verb == "export") {
    return make_bundle(report, StateDir::find(line.options).reports(), file);
  }
  return show(report, line.options.json);
}

}  // namespace evenkeel::host
