// Whether a diagnosis names the two lines that race: in kvstore the lines marked with
// "race: BUG", in the zoo those marked with "RACE".
//
// EVENKEEL_TEST_SITES: diagnosed divergences wanted of each bug of kvstore, and runs of each
// pattern of the zoo.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "tests/e2e/scale.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kWanted = 0.9;
constexpr int kMaxRuns = 20;  // of kvstore, until so many have been diagnosed

using Lines = std::set<std::pair<std::string, uint32_t>>;  // file name, line

Lines marked_lines(const fs::path& file, const std::string& mark) {
  Lines lines;
  std::ifstream in(file);
  std::string text;
  for (uint32_t number = 1; std::getline(in, text); ++number) {
    if (text.find(mark) != std::string::npos) lines.emplace(file.filename().string(), number);
  }
  return lines;
}

bool stands_on(const json& diagnosis, const char* site, const Lines& lines) {
  if (!diagnosis.contains(site)) return false;
  const json& places = diagnosis.at(site).at("locations");
  return std::any_of(places.begin(), places.end(), [&](const json& place) {
    const fs::path file(place.at("file").get<std::string>());
    return lines.contains({file.filename().string(), place.at("line").get<uint32_t>()});
  });
}

struct Score {
  uint64_t diagnosed = 0;
  uint64_t repeated = 0;
  uint64_t named = 0;  // both lines
};

void add(Score& score, const fs::path& state, const std::string& name, const Lines& lines) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state / name / "reports", error)) {
    if (entry.path().extension() != ".report") continue;
    const Finished shown =
        run_to_end({evenkeel_path(), "report", "show", entry.path().stem().string(), "--json",
                    "--state-dir", state.string(), "--name", name});
    const json report = json::parse(shown.out, nullptr, false);
    ASSERT_TRUE(report.is_object()) << shown.err;
    const json& diagnosis = report.at("diagnosis");
    if (diagnosis.is_null()) continue;
    ++score.diagnosed;
    if (diagnosis.at("repeated").get<bool>()) ++score.repeated;
    const bool both =
        stands_on(diagnosis, "first_site", lines) && stands_on(diagnosis, "second_site", lines);
    if (both) {
      ++score.named;
    } else {
      std::printf("  %s: not the marked lines: %s %s\n", entry.path().c_str(),
                  diagnosis.value("first_site", json::object()).value("text", "none").c_str(),
                  diagnosis.value("second_site", json::object()).value("text", "none").c_str());
    }
  }
}

void print(const char* name, const Score& score) {
  std::printf("%-16s diagnosed %3lu  struck again %3lu  both lines %3lu\n", name, score.diagnosed,
              score.repeated, score.named);
  std::fflush(stdout);
}

void expect_enough(const Score& score) {
  EXPECT_GE(static_cast<double>(score.named), kWanted * static_cast<double>(score.diagnosed));
}

// While a diagnosis runs, the log of the process that makes it is there.
bool diagnosing(const Server& server) {
  const fs::path reports = fs::path(server.state_dir()) / server.name() / "reports";
  const fs::directory_iterator list(reports);
  return std::any_of(begin(list), end(list), [](const auto& entry) {
    return entry.path().native().ends_with(".bundle.log.new");
  });
}

struct Bug {
  const char* name;
  Words load;
};

void PrintTo(const Bug& bug, std::ostream* out) { *out << bug.name; }

const Words kShared{"--shared", "--counters",       "1",   "--keys",     "1",    "--incr-fraction",
                    "0.4",      "--write-fraction", "0.3", "--requests", "10000"};
const Words kChains{
    "--delete-fraction", "0.3",  "--write-fraction", "0.3", "--keys", "10", "--sweep",
    "--requests",        "10000"};
const Bug kBugs[] = {
    {"lost-update", kShared}, {"torn-value", kShared}, {"unlocked-chain", kChains}};

class DiagnosisOfKvstore : public testing::TestWithParam<Bug> {};

TEST_P(DiagnosisOfKvstore, NamesBothLines) {
  const Bug& bug = GetParam();
  const Lines lines = marked_lines(fs::path(EVENKEEL_SOURCE_DIR) / "examples/kvstore/store.cc",
                                   std::string("race: ") + bug.name);
  ASSERT_FALSE(lines.empty());
  const uint64_t wanted = scale("EVENKEEL_TEST_SITES", 1);
  Score score;
  for (int run = 0; run < kMaxRuns && score.diagnosed < wanted; ++run) {
    Server server = Server::evenkeel({}, kvstore_command({"--bug", bug.name, "--buckets", "16"}));
    const LoadResult load = run_load(server.port(), bug.load);
    ASSERT_EQ(load.status, 0) << load.complaints;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (diagnosing(server) && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    add(score, server.state_dir(), server.name(), lines);
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  }
  print(bug.name, score);
  EXPECT_GE(score.diagnosed, wanted);
  expect_enough(score);
}

INSTANTIATE_TEST_SUITE_P(Bugs, DiagnosisOfKvstore, testing::ValuesIn(kBugs), [](const auto& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// Without those that show as a deadlock or a lost wake-up, which wait and differ in nothing, and
// split_lock, of which the guard tells the locks.
TEST(DiagnosisOfTheZoo, NamesBothLines) {
  const std::set<std::string> others{"lock_order", "lost_wakeup", "nested_monitor", "split_lock"};
  Score all;
  for (const auto& entry : fs::directory_iterator(fs::path(EVENKEEL_SOURCE_DIR) / "examples/zoo")) {
    const std::string pattern = entry.path().stem().string();
    if (entry.path().extension() != ".cc" || others.contains(pattern)) continue;
    const TemporaryDirectory state;
    const Finished finished =
        run_to_end({EVENKEEL_BIN_DIR "/evenkeel-zoo", "--pattern", pattern, "--mode", "default",
                    "--kill-after", "3", "--times", std::to_string(scale("EVENKEEL_TEST_SITES", 1)),
                    "--reports", state.path().string()},
                   {}, std::chrono::seconds(3600));
    EXPECT_EQ(finished.ending, (Ending{.status = 0})) << finished.err;
    Score score;
    for (const auto& run : fs::directory_iterator(state.path())) {
      if (!run.is_directory()) continue;
      add(score, state.path(), run.path().filename().string(), marked_lines(entry.path(), "RACE "));
    }
    print(pattern.c_str(), score);
    all.diagnosed += score.diagnosed;
    all.repeated += score.repeated;
    all.named += score.named;
  }
  print("all", all);
  expect_enough(all);
}

}  // namespace
}  // namespace evenkeel::test
