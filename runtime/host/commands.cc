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
#include "runtime/host/server_file.h"
#include "runtime/host/state_dir.h"
#include "runtime/host/status.h"
#include "runtime/host/top.h"

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

int top_command(const CommandLine& line) {
  show_top(StateDir::find(line.options), line.options.once);
  return 0;
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
