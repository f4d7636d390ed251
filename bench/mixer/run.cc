#include "bench/mixer/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "bench/zoo/clients.h"
#include "bench/zoo/process.h"

namespace evenkeel::bench {
namespace {

using nlohmann::json;
using zoo::Clock;
using zoo::Milliseconds;
using zoo::Process;
using zoo::Words;

constexpr Milliseconds kStartPatience{30000};
constexpr Milliseconds kStopPatience{5000};
constexpr Milliseconds kStatusPatience{10000};
constexpr Milliseconds kLoadPatience{3600000};
constexpr double kCeiling = 15000;  // requests/s that two cores serve at most, or so
constexpr const char* kName = "mixer";

std::string program(const char* name) {
  return std::filesystem::canonical("/proc/self/exe").parent_path() / name;
}

Words server_words(const Setting& setting, uint16_t port) {
  return {program("kvstore-annotated"),
          "--port",
          std::to_string(port),
          "--threads",
          std::to_string(setting.threads),
          "--buckets",
          "16384",
          "--work",
          "0",
          "--work-us",
          fmt::format("{:.0f}", setting.request_ms * 1000)};
}

Words evenkeel_words(const Setting& setting, const std::filesystem::path& state) {
  Words words{program("evenkeel"), "run", "--state-dir", state, "--name", kName};
  const Words mode = setting.side == Side::kSequential
                         ? Words{"--mode", "sequential"}
                         : Words{"--order", "independent", "--follower", "parallel"};
  words.insert(words.end(), mode.begin(), mode.end());
  words.insert(words.end(),
               {"--carriers", std::to_string(setting.threads), "--false-conflicts",
                std::to_string(setting.false_conflicts), "--missed-conflicts",
                std::to_string(setting.missed_conflicts), "--hang-timeout", "60", "--"});
  return words;
}

void await_port(uint16_t port, Process& server, const std::filesystem::path& log) {
  const auto end = Clock::now() + kStartPatience;
  while (!zoo::accepts(port)) {
    if (server.has_ended() || Clock::now() >= end) {
      throw std::runtime_error("the server does not start: " + zoo::text_of(log));
    }
    std::this_thread::sleep_for(Milliseconds{5});
  }
}

uint64_t requests_for(const Setting& setting, double seconds) {
  const double alone = 1000 / (setting.request_ms + 0.1);
  const bool serial = setting.side == Side::kSequential || setting.keys == 1;
  const double rate = serial ? alone : alone * std::min(setting.threads, setting.keys);
  return static_cast<uint64_t>(std::max(50.0, std::min(rate, kCeiling) * seconds));
}

// Increments: every answer must be a new number, and each counter must end at their sum.
json load(const Setting& setting, uint16_t port, uint64_t requests,
          const std::filesystem::path& scratch) {
  const Words words{program("evenkeel-load"),
                    "--port",
                    std::to_string(port),
                    "--shared",
                    "--counters",
                    std::to_string(setting.keys),
                    "--keys",
                    "1",
                    "--write-fraction",
                    "0",
                    "--incr-fraction",
                    "1",
                    "--connections",
                    std::to_string(4 * setting.threads),
                    "--requests",
                    std::to_string(requests),
                    "--timeout-s",
                    "120"};
  return json::parse(zoo::output_of(words, scratch / "load", kLoadPatience));
}

void note_status(const json& before, const json& after, Point& point) {
  const auto growth = [&](const char* name) {
    return after.at(name).get<uint64_t>() - before.at(name).get<uint64_t>();
  };
  point.divergences = growth("divergences");
  point.reexecutions = growth("reexecutions");
  point.leaks = growth("leaks");
  const auto batches = static_cast<double>(std::max<uint64_t>(growth("batches"), 1));
  point.requests_per_batch = static_cast<double>(point.requests) / batches;
  const auto groups = [](const json& status) {
    return status.at("breakdown").at("replicas").at(0).at("request_groups").get<double>();
  };
  point.groups_per_batch = (groups(after) - groups(before)) / batches;
}

}  // namespace

const char* name_of(Side side) {
  constexpr const char* kNames[] = {"native", "sequential", "mixed"};
  return kNames[static_cast<size_t>(side)];
}

Runner::Runner(double seconds) : seconds_(seconds) {
  std::string name = std::filesystem::temp_directory_path() / "evenkeel-mixer-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  scratch_ = name;
}

Runner::~Runner() {
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

Point Runner::run(const Setting& setting, uint64_t requests) {
  const std::filesystem::path log = scratch_ / "server.log";
  const std::filesystem::path state = scratch_ / "state";
  const uint16_t port = zoo::free_port();
  const bool native = setting.side == Side::kNative;
  Words words = native ? Words{} : evenkeel_words(setting, state);
  const Words server = server_words(setting, port);
  words.insert(words.end(), server.begin(), server.end());
  Process process(words, log);
  await_port(port, process, log);
  const auto status = [&] {
    if (native) return json{};
    return json::parse(zoo::output_of(
        {program("evenkeel"), "status", "--json", "--state-dir", state, "--name", kName},
        scratch_ / "status", kStatusPatience));
  };
  Point point{.setting = setting};
  const json before = status();
  const json result =
      load(setting, port, requests != 0 ? requests : requests_for(setting, seconds_), scratch_);
  point.requests = result.at("requests").get<uint64_t>();
  point.per_second = result.at("requests_per_second").get<double>();
  if (!native) note_status(before, status(), point);
  process.stop(kStopPatience);
  return point;
}

}  // namespace evenkeel::bench
