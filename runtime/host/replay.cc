#include "runtime/host/replay.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "runtime/host/bundle.h"
#include "runtime/host/debugger.h"
#include "runtime/host/experiment.h"
#include "runtime/host/inherited.h"
#include "runtime/host/lab.h"
#include "runtime/host/refusal.h"
#include "runtime/host/server_file.h"
#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

constexpr char kNoState[] = "the server ends instead of executing the stored batch";
constexpr char kSamePlace[] = "replay where files and machine are as they were for the server";

// Before anything of the lab's takes a number.
void become_like(const StateFile& state) {
  disable_address_randomisation();
  imitate_inherited(state.text().at("inherited"));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// The same program at other addresses, or another build of it, would be nonsense.
void check_builds(const StateFile& state) {
  for (const auto& module : state.text().at("modules")) {
    const auto path = module.at("path").get<std::string>();
    const auto wanted = module.at("build").get<std::string>();
    const std::string found = build_id(path);
    if (found == wanted) continue;
    throw Refusal(kExitUsage,
                  fmt::format("{} is another build ({}) than the one of the bundle ({})", path,
                              found.empty() ? "none" : found, wanted),
                  "replay where the binaries are those that the server ran");
  }
}

std::vector<wire::WatchedRange> ranges_of(const StateFile& state) {
  std::vector<wire::WatchedRange> ranges;
  for (const auto& range : state.text().at("watch")) {
    ranges.push_back({range.at(0).get<uint64_t>(), range.at(1).get<uint64_t>()});
  }
  return ranges;
}

// Not all of the differing bytes are known for a crash; then chance must do.
bool execute(Lab& lab, Schedule schedule, bool watch, uint64_t number) {
  if (watch && schedule == Schedule::kRecorded) return lab.run_watched(schedule, number);
  return lab.run(schedule);
}

// Of an exported bundle that was diagnosed: the very word. Else what differed.
std::vector<wire::WatchedRange> raced_ranges(const std::string& bundle, const StateFile& state) {
  if (std::filesystem::file_size(bundle) > state.bytes()) {
    const record::Diagnosis diagnosis = read_bundled_report(bundle).diagnosis();
    if (diagnosis.has_raced_object()) {
      const record::Object& object = diagnosis.raced_object();
      const bool inside = object.kind() != record::Object::DATA;
      const uint64_t begin = object.address() + (inside ? diagnosis.raced_offset() : 0);
      return {{begin, begin + 8}};
    }
  }
  return ranges_of(state);
}

// The user looks around for as long as he likes.
int replay_in_gdb(const std::string& bundle, const StateFile& state, Schedule schedule) {
  const std::vector<wire::WatchedRange> ranges = raced_ranges(bundle, state);
  auto debugger = std::make_unique<Debugger>();
  Lab lab(state, Patience::kEndless);
  debugger->attach(lab.server_pid(), ranges);
  const bool failed = lab.run(schedule);
  debugger.reset();
  if (failed) fmt::print("execution 1: {}\n", lab.describe());
  fmt::print("diverged {} of 1\n", failed ? 1 : 0);
  return 0;
}

std::string token_text(const wire::Token& token) {
  return fmt::format("{:016x}{:016x}", token.high, token.low);
}

}  // namespace

int replay_command(const CommandLine& line) try {
  if (line.words.size() != 1) {
    throw Refusal(kExitUsage, "replay wants one bundle", "see evenkeel replay --help");
  }
  const StateFile state(line.words[0]);
  check_builds(state);
  become_like(state);
  const Schedule schedule = line.options.schedule;
  if (line.options.gdb) return replay_in_gdb(line.words[0], state, schedule);
  Lab lab(state);
  const std::vector<wire::WatchedRange> ranges = ranges_of(state);
  lab.watch(ranges);
  const std::string agreed = state.text().value("agreed", "");
  uint32_t diverged = 0;
  for (uint32_t i = 1; i <= line.options.times; ++i) {
    const bool failed = execute(lab, schedule, !ranges.empty(), i);
    if (failed) {
      ++diverged;
      fmt::print("execution {}: {}\n", i, lab.describe());
    } else if (schedule == Schedule::kSequential && !agreed.empty()) {
      const std::string token = token_text(lab.token());
      fmt::print("execution {}: {} the state that was agreed\n", i,
                 token == agreed ? "exactly" : "not");
    }
  }
  fmt::print("diverged {} of {}\n", diverged, line.options.times);
  return 0;
} catch (const Ending&) {
  throw Refusal(1, kNoState, kSamePlace);
}

int diagnose_command(const CommandLine& line) try {
  if (line.words.size() != 1) throw Refusal(kExitUsage, "diagnose wants one bundle", "");
  const StateFile state(line.words[0]);
  check_builds(state);
  become_like(state);
  Lab lab(state);
  const record::Diagnosis found = diagnose(lab, ranges_of(state), ExperimentLimits{});
  return found.SerializeToOstream(&std::cout) && std::cout.flush() ? 0 : 1;
} catch (const Ending&) {
  throw Refusal(1, kNoState, kSamePlace);
}

}  // namespace evenkeel::host
