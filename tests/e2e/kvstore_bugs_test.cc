// Planted races: natively clients get wrong answers, under Evenkeel's defaults they do not.
#include <gtest/gtest.h>

#include "tests/e2e/scale.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

constexpr int kMaxRuns = 50;  // until enough divergences have been seen

struct Case {
  const char* name;
  const char* bug;
  Words load;
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

const Words kSharedLoad{"--shared", "--counters",       "1",  "--keys", "1", "--incr-fraction",
                        "0.4",      "--write-fraction", "0.3"};
const Words kChainLoad{
    "--delete-fraction", "0.3", "--write-fraction", "0.3", "--keys", "10", "--sweep"};
const Case kCases[] = {{"LostUpdate", "lost-update", kSharedLoad},
                       {"TornValue", "torn-value", kSharedLoad},
                       {"UnlockedChain", "unlocked-chain", kChainLoad}};

Words store(const char* bug) { return kvstore_command({"--bug", bug, "--buckets", "16"}); }

Words with_requests(Words arguments, uint64_t requests) {
  arguments.insert(arguments.end(), {"--requests", std::to_string(requests)});
  return arguments;
}

uint64_t wrong_answers(const LoadResult& load) { return load.json.at("wrong").get<uint64_t>(); }

// A race shows when the machine lets it: on one that is busy with other things, not in every run.
uint64_t wrong_natively(const char* bug, const Words& load_arguments) {
  for (int run = 0; run < kMaxRuns; ++run) {
    Server server = Server::native(store(bug));
    const LoadResult load = run_load(server.port(), with_requests(load_arguments, 60000));
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
    if (wrong_answers(load) != 0) return wrong_answers(load);
  }
  return 0;
}

class KvstoreBugs : public testing::TestWithParam<Case> {};

TEST_P(KvstoreBugs, ShowNatively) {
  EXPECT_GT(wrong_natively(GetParam().bug, GetParam().load), 0u);
}

TEST_P(KvstoreBugs, NeverReachAClient) {
  const uint64_t wanted = scale("EVENKEEL_TEST_DIVERGENCES", 1);
  uint64_t seen = 0;
  for (int run = 0; run < kMaxRuns && seen < wanted; ++run) {
    Server server = Server::evenkeel({}, store(GetParam().bug));
    const LoadResult load = run_load(server.port(), with_requests(GetParam().load, 60000));
    ASSERT_EQ(load.status, 0) << load.complaints;
    const auto status = server.status();
    EXPECT_EQ(status.at("leaks"), 0) << status;
    EXPECT_EQ(status.at("replicas_live"), 2) << status;
    EXPECT_GE(status.at("reexecutions"), status.at("divergences")) << status;
    seen += status.at("divergences").get<uint64_t>();
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  }
  EXPECT_GE(seen, wanted) << "the race did not show in " << kMaxRuns << " runs";
}

INSTANTIATE_TEST_SUITE_P(Bugs, KvstoreBugs, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

// The visible half of what a mode that compares states only cannot see: both of its locks are
// taken, in the recorded order, by every replica.
TEST(KvstoreSplitLock, ShowsNatively) { EXPECT_GT(wrong_natively("split-lock", kSharedLoad), 0u); }

TEST(KvstoreWithoutBug, IsRightNatively) {
  Server server = Server::native(store("none"));
  EXPECT_EQ(run_load(server.port(), with_requests(kSharedLoad, 30000)).status, 0);
  EXPECT_EQ(run_load(server.port(), with_requests(kChainLoad, 30000)).status, 0);
}

TEST(KvstoreWithoutBug, DoesNotDiverge) {
  Server server = Server::evenkeel({}, store("none"));
  EXPECT_EQ(run_load(server.port(), with_requests(kSharedLoad, 30000)).status, 0);
  EXPECT_EQ(run_load(server.port(), with_requests(kChainLoad, 30000)).status, 0);
  const auto status = server.status();
  EXPECT_EQ(status.at("divergences"), 0) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
}

}  // namespace
}  // namespace evenkeel::test
