// The zoo's own machinery: it sees a bug that is there, counts nothing where there is none, says so
// in JSON, and leaves nothing behind.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

using nlohmann::json;

Words zoo(const Words& arguments) {
  Words words{EVENKEEL_BIN_DIR "/evenkeel-zoo"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

// One run in the recommended mode, natively as many as it takes, a short load each.
json result_of(const std::string& pattern) {
  const Finished finished =
      run_to_end(zoo({"--pattern", pattern, "--times", "1", "--manifestations", "1", "--max-runs",
                      "20", "--mode", "default", "--kill-after", "2", "--json"}));
  EXPECT_EQ(finished.ending, (Ending{.status = 0})) << finished.err;
  const json all = json::parse(finished.out, nullptr, false);
  EXPECT_TRUE(all.is_object() && all.contains("patterns")) << finished.out;
  if (!all.is_object() || all["patterns"].size() != 1) return {};
  return all["patterns"][0];
}

void expect_keys(const json& object, const Words& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(object.contains(key)) << key << " in " << object;
}

TEST(Zoo, SeesABugThatShowsNatively) {
  const json pattern = result_of("early_thread");
  expect_keys(pattern, {"name", "kind", "modelled_on", "native", "recommended", "modes"});
  expect_keys(pattern["native"], {"runs", "manifested"});
  expect_keys(pattern["recommended"],
              {"mode", "runs", "wrong", "outages", "detected", "repaired", "missed"});
  EXPECT_EQ(pattern["name"], "early_thread");
  EXPECT_GE(pattern["native"]["manifested"], 1) << pattern;
  EXPECT_EQ(pattern["recommended"]["runs"], 1) << pattern;
  EXPECT_TRUE(pattern["modes"].contains(pattern["recommended"]["mode"])) << pattern;
}

TEST(Zoo, BenignRaceHasNoWrongAnswer) {
  const json pattern = result_of("racy_statistics");
  EXPECT_EQ(pattern["kind"], "benign");
  for (const char* count : {"wrong", "outages", "missed"}) {
    EXPECT_EQ(pattern["recommended"][count], 0) << pattern;
  }
}

TEST(Zoo, TableNamesPatternAndReason) {
  const Finished finished =
      run_to_end(zoo({"--pattern", "early_thread", "--times", "1", "--manifestations", "1",
                      "--max-runs", "20", "--native-only"}));
  EXPECT_EQ(finished.ending, (Ending{.status = 0})) << finished.err;
  EXPECT_NE(finished.out.find("early_thread"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("signal 11"), std::string::npos) << finished.out;
}

TEST(Zoo, UnknownPatternIsRefused) {
  EXPECT_EQ(run_to_end(zoo({"--pattern", "unicorn"})).ending, (Ending{.status = 2}));
  EXPECT_EQ(run_to_end(zoo({"--mode", "unicorn"})).ending, (Ending{.status = 2}));
}

TEST(Zoo, ItsServersEndWithIt) {
  const TemporaryDirectory scratch;  // it cannot remove its own when it is killed
  // A server that hangs, and a client that is patient: neither ends by itself meanwhile.
  Process process(zoo({"--pattern", "nested_monitor", "--times", "1", "--native-only", "--deadline",
                       "600", "--kill-after", "600"}),
                  {{"TMPDIR", scratch.path()}});
  std::vector<pid_t> servers;
  while (servers.empty()) {
    ASSERT_FALSE(process.wait_until_ended(std::chrono::milliseconds(1))) << process.err();
    servers = descendants(process.pid());
  }
  const Watched watched(servers);
  process.signal(SIGKILL);
  process.wait();
  EXPECT_TRUE(watched.wait_until_ended(kPatience));
}

}  // namespace
}  // namespace evenkeel::test
