#include "runtime/host/commands.h"

#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/host/coordinator.h"
#include "runtime/host/doctor.h"
#include "runtime/host/mixer/choice.h"
#include "runtime/host/mixer/explain.h"
#include "runtime/host/refusal.h"
#include "runtime/host/report_list.h"
#include "runtime/host/server_file.h"
#include "runtime/host/state_dir.h"
#include "runtime/host/status.h"

namespace evenkeel::host {
namespace {

// Thousands of clients need descriptors: as many as we may have. Replicas get the old limit back.
uint64_t raise_open_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t old = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return old;
}

std::string default_name(const std::string& server_path) {
  std::string name = std::filesystem::path(server_path).filename().string();
  for (char& c : name) {
    const bool good = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' ||
                      c == '-' || c == '+';
    if (!good) c = '_';
  }
  if (name.empty() || name.front() == '.' || name.front() == '-') name = fmt::format("_{}", name);
  return name.substr(0, 64);
}

int show_report(const std::filesystem::path& reports, const std::string& id, bool json) {
  const Report report = load_report(reports, id);
  if (!json) {
    fmt::print("{}", render_text(report));
    return 0;
  }
  fmt::print("{}\n",
             render_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

// One line for each bug, the one seen last at the end.
int print_list(const std::filesystem::path& reports, bool json) {
  const std::vector<ReportRow> rows = list_reports(reports);
  if (json) {
    fmt::print("{}\n",
               rows_json(rows).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
  }
  for (const ReportRow& row : rows) {
    fmt::print("{:<16} {} {:>6} x  {}\n", row.id.empty() ? row.signature : row.id,
               time_text(row.last_ns), row.count, row.summary);
  }
  return 0;
}

}  // namespace

int run_command(const CommandLine& line) {
  Options options = line.options;
  const std::string path = find_server(line.server.front());
  check_server(path);
  if (options.name.empty()) options.name = default_name(path);
  const std::string library = find_library();
  disable_address_randomisation();
  const uint64_t open_files = raise_open_files();
  Ending ending;
  {
    const auto coordinator =
        std::make_unique<Coordinator>(options, path, line.server, library, open_files);
    ending = coordinator->run();
  }
  if (ending.signal != 0) die_by(ending.signal);
  return ending.status;
}

int status_command(const CommandLine& line) {
  const nlohmann::json status = query_status(StateDir::find(line.options));
  fmt::print("{}", line.options.json ? status.dump(2) + "\n" : status_text(status));
  return 0;
}

int report_command(const CommandLine& line) {
  const std::filesystem::path reports = StateDir::find(line.options).reports();
  const bool json = line.options.json;
  if (line.words.size() == 1 && line.words[0] == "list") return print_list(reports, json);
  if (line.words.size() == 2 && line.words[0] == "show") {
    return show_report(reports, line.words[1], json);
  }
  throw Refusal(kExitUsage, "report wants 'list' or 'show ID'", "see evenkeel report --help");
}

int mixer_command(const CommandLine& line) {
  if (line.words.size() != 1 || line.words[0] != "explain") {
    throw Refusal(kExitUsage, "mixer wants 'explain'", "see evenkeel mixer --help");
  }
  const std::string rules = line.options.rules.empty() ? "memcached" : line.options.rules;
  const std::unique_ptr<Dialect> dialect = make_dialect(rules);
  fmt::print("{}", explain(*dialect, read_all(stdin)));
  return 0;
}

int doctor_command() { return print_findings(examine_machine()) ? 0 : 1; }

int completion_command(const CommandLine& line) {
  if (line.words.size() != 1 || line.words[0] != "bash") {
    throw Refusal(kExitUsage, "completion is written for bash only",
                  "use: evenkeel completion bash");
  }
  fmt::print("{}", bash_completion());
  return 0;
}

int man_command() {
  fmt::print("{}", man_page());
  return 0;
}

}  // namespace evenkeel::host
