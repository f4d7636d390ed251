// Replicas that claim a difference where there is none: roll back, execute again, and no client can
// tell.
#include <gtest/gtest.h>

#include "tests/e2e/scale.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

constexpr int kMaxRuns = 1000;  // until enough rollbacks have been seen

const Words kFewInABatch{"--connections", "4", "--requests", "20000", "--keys", "200"};

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

void survive(const char* every_nth_batch, const Words& command, const Words& load_arguments) {
  const uint64_t wanted = scale("EVENKEEL_TEST_ROLLBACKS", 500);
  Server server = Server::evenkeel({"--force-mismatch", every_nth_batch}, command);
  nlohmann::json status;
  uint64_t rollbacks = 0;
  for (int run = 0; run < kMaxRuns && rollbacks < wanted; ++run) {
    const LoadResult load = run_load(server.port(), joined(kFewInABatch, load_arguments));
    ASSERT_EQ(load.status, 0) << load.complaints;
    status = server.status();
    rollbacks = status.at("rollbacks").get<uint64_t>();
  }
  EXPECT_GE(rollbacks, wanted) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(status.at("replicas_live"), 2) << status;
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

TEST(ForcedRollback, OfEveryBatchOfMemcached) {
  survive("1", memcached_command(),
          {"--write-fraction", "0.4", "--delete-fraction", "0.1", "--incr-fraction", "0.1",
           "--pipeline", "4", "--sweep"});
}

TEST(ForcedRollback, OfEverySecondBatchOfMemcached) {
  survive("2", memcached_command(), {"--write-fraction", "0.5", "--sweep"});
}

TEST(ForcedRollback, WithSharedCounters) {
  survive("2", memcached_command(),
          {"--shared", "--write-fraction", "0.3", "--incr-fraction", "0.4"});
}

TEST(ForcedRollback, OfEveryBatchOfAStoreWithAQueue) {
  survive("1", kvstore_command({"--work", "1000"}),
          {"--shared", "--write-fraction", "0.3", "--incr-fraction", "0.4"});
}

TEST(ForcedRollback, WithTheMprotectTracker) {
  Server server =
      Server::evenkeel({"--force-mismatch", "2", "--tracker", "mprotect"}, memcached_command());
  const LoadResult load =
      run_load(server.port(), joined(kFewInABatch, {"--write-fraction", "0.5", "--sweep"}));
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_GT(server.status().at("rollbacks"), 0);
}

// Connections come and go in batches that are rolled back: accept, close and descriptor numbers are
// part of the state.
TEST(ForcedRollback, WithConnectionsThatComeAndGo) {
  Server server = Server::evenkeel({"--force-mismatch", "1"}, memcached_command());
  for (int run = 0; run < 20; ++run) {
    const LoadResult load = run_load(
        server.port(), {"--connections", "20", "--requests", "200", "--keys", "5", "--sweep"});
    ASSERT_EQ(load.status, 0) << load.complaints;
  }
  EXPECT_EQ(server.status().at("leaks"), 0);
}

}  // namespace
}  // namespace evenkeel::test
