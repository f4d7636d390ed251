// The serializability guard on real servers.
#include <gtest/gtest.h>

#include "tests/e2e/scale.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

const Words kSplitLockLoad{"--shared", "--counters",       "1",  "--keys", "1", "--incr-fraction",
                           "0.4",      "--write-fraction", "0.3"};

Words store() { return kvstore_command({"--bug", "split-lock", "--buckets", "16"}); }

Words with_requests(Words arguments, uint64_t requests) {
  arguments.insert(arguments.end(), {"--requests", std::to_string(requests)});
  return arguments;
}

// Both locks are taken, in the recorded order, by every replica: only the guard sees it.
TEST(Guard, SplitLockNeverReachesAClient) {
  Server server = Server::evenkeel({}, store());
  const uint64_t requests = scale("EVENKEEL_TEST_REQUESTS", 60000);
  const LoadResult load = run_load(server.port(), with_requests(kSplitLockLoad, requests));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_GT(status.at("suspects"), 0) << status;
  EXPECT_EQ(status.at("divergences"), 0) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(status.at("guard_unchecked_groups"), 0) << status;
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

TEST(Guard, StrictMasksItToo) {
  Server server = Server::evenkeel({"--guard", "strict"}, store());
  const LoadResult load = run_load(server.port(), with_requests(kSplitLockLoad, 30000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_EQ(server.status().at("guard_learnt"), 0);
}

TEST(Guard, OneReplicaIsGuardedToo) {
  Server server = Server::evenkeel({"--replicas", "1"}, store());
  const LoadResult load = run_load(server.port(), with_requests(kSplitLockLoad, 30000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_GT(server.status().at("suspects"), 0);
}

TEST(Guard, OffLooksAtNothing) {
  Server server = Server::evenkeel({"--guard", "off"}, store());
  run_load(server.port(), with_requests(kSplitLockLoad, 30000));
  const auto status = server.status();
  EXPECT_EQ(status.at("suspects"), 0) << status;
  EXPECT_EQ(status.at("reexecutions"), 0) << status;
}

// Every operation of the store without a bug takes its lock once.
TEST(Guard, AServerWithoutTheBugIsNotSuspected) {
  Server server = Server::evenkeel({}, kvstore_command({"--buckets", "16"}));
  const LoadResult load = run_load(server.port(), with_requests(kSplitLockLoad, 30000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_EQ(server.status().at("suspects"), 0) << server.status();
}

}  // namespace
}  // namespace evenkeel::test
