#include "bench/zoo/runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace evenkeel::zoo {
namespace {

constexpr Milliseconds kStartPatience{30000};  // until a server listens
constexpr Milliseconds kStopPatience{5000};    // until SIGTERM becomes SIGKILL
constexpr Milliseconds kStatusPatience{10000};
constexpr Milliseconds kDiagnosisPatience{60000};
constexpr Milliseconds kDeathPatience{300};  // a connection breaks before its server is a zombie
constexpr Milliseconds kPollInterval{5};

bool wait_for_port(uint16_t port, Process& server) {
  const auto end = Clock::now() + kStartPatience;
  while (!accepts(port)) {
    if (server.has_ended() || Clock::now() >= end) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

// A server that ended while it was served is an outage, whatever its last answers were.
void note_ending(Process& server, Seen& seen) {
  const auto end = Clock::now() + (seen.outage ? kDeathPatience : Milliseconds{0});
  while (!server.has_ended() && Clock::now() < end) std::this_thread::sleep_for(kPollInterval);
  if (!server.has_ended()) return;
  if (seen.wrong == 0) {
    seen.why +=
        fmt::format("{}the server ended with {}", seen.why.empty() ? "" : "; ", server.ending());
  }
  seen.outage = true;
}

Seen drive(const Pattern& pattern, uint16_t port, const Limits& limits) {
  Seen seen;
  try {
    Load load(port, pattern.connections, limits, seen);
    pattern.check(load);
  } catch (const Outage& outage) {
    seen.outage = true;
    if (seen.wrong == 0) seen.why = outage.what();
  }
  return seen;
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::string name = std::filesystem::temp_directory_path() / "evenkeel-zoo-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;  // a process that is being killed may still hold it
  std::filesystem::remove_all(path_, ignored);
}

Runner::Runner(const Options& options)
    : options_(options), programs_(std::filesystem::read_symlink("/proc/self/exe").parent_path()) {}

Words Runner::server(const Pattern& pattern, uint16_t port) const {
  return {programs_ / "zoo" / pattern.name, "--port", std::to_string(port)};
}

Words Runner::evenkeel(const char* command, const std::string& name) const {
  return {programs_ / "evenkeel", command, "--state-dir", state_directory(), "--name", name};
}

std::filesystem::path Runner::state_directory() const {
  return options_.reports.empty() ? scratch_.path() : options_.reports;
}

// While a diagnosis runs, the log of the process that makes it is there.
void Runner::await_diagnosis(const std::string& name, Process& process) const {
  const auto is_log = [](const auto& entry) {
    return entry.path().native().ends_with(".bundle.log.new");
  };
  const auto end = Clock::now() + kDiagnosisPatience;
  while (!process.has_ended() && Clock::now() < end) {
    std::error_code error;
    const std::filesystem::directory_iterator list(state_directory() / name / "reports", error);
    if (std::none_of(begin(list), std::filesystem::end(list), is_log)) return;
    std::this_thread::sleep_for(kPollInterval);
  }
}

NativeResult Runner::run_natively(const Pattern& pattern) {
  NativeResult result;
  if (!options_.reports.empty()) return result;
  const uint64_t most = std::max(options_.times, options_.max_runs);
  while (result.runs < options_.times ||
         (result.manifested < options_.manifestations && result.runs < most)) {
    const uint16_t port = free_port();
    const Seen seen = run_once(pattern, server(pattern, port), port, true, nullptr, "");
    ++result.runs;
    if (!seen.manifested()) continue;
    if (result.manifested++ == 0) result.why = seen.why;
  }
  return result;
}

ModeResult Runner::run_under(const Mode& mode, const Pattern& pattern) {
  ModeResult result;
  result.mode = mode.name;
  while (result.runs < options_.times) {
    const uint16_t port = free_port();
    const std::string name = fmt::format("zoo-{}-{}", getpid(), ++started_);
    Words command = evenkeel("run", name);
    std::istringstream words(mode.options);
    for (std::string word; words >> word;) command.push_back(word);
    command.insert(command.end(), options_.run_options.begin(), options_.run_options.end());
    command.emplace_back("--");
    for (const std::string& word : server(pattern, port)) command.push_back(word);
    const Seen seen = run_once(pattern, command, port, false, &result, name);
    ++result.runs;
    result.wrong += seen.wrong;
    result.outages += seen.outage ? 1 : 0;
    if (!seen.reached_client()) continue;
    if (result.missed++ == 0) result.why = seen.why;
  }
  return result;
}

Seen Runner::run_once(const Pattern& pattern, const Words& command, uint16_t port, bool natively,
                      ModeResult* result, const std::string& name) {
  const std::filesystem::path log = scratch_.path() / "server.log";
  Process process(command, log);
  Seen seen;
  if (wait_for_port(port, process)) {
    const uint64_t rounds = natively ? UINT64_MAX : pattern.rounds;
    seen = drive(pattern, port, {options_.deadline, options_.kill_after, rounds, natively});
  } else {
    seen.why = printable(fmt::format("the server does not start: {}", text_of(log)));
    if (natively) throw std::runtime_error(seen.why);  // then it is no bug of the pattern's
    seen.outage = true;
  }
  note_ending(process, seen);
  if (!natively && !options_.reports.empty()) await_diagnosis(name, process);
  if (result != nullptr && !process.has_ended()) add_status(name, *result);
  process.stop(natively ? Milliseconds{0} : kStopPatience);
  return seen;
}

// A coordinator that does not answer any more has nothing to add: its run is an outage already.
void Runner::add_status(const std::string& name, ModeResult& result) {
  Words command = evenkeel("status", name);
  command.emplace_back("--json");
  nlohmann::json status;
  try {
    status =
        nlohmann::json::parse(output_of(command, scratch_.path() / "status.json", kStatusPatience));
  } catch (const std::exception& error) {
    if (result.why.empty()) result.why = printable(fmt::format("no status: {}", error.what()));
    return;
  }
  uint64_t detected = 0;
  for (const char* kind : {"divergences", "faults", "suspects"}) {
    detected += status.value(kind, uint64_t{0});
  }
  const uint64_t leaks = status.at("leaks").get<uint64_t>();
  result.detected += detected;
  result.leaks += leaks;
  result.repaired += detected - std::min(detected, leaks);
}

}  // namespace evenkeel::zoo
