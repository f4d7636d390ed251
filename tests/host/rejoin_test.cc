// Lost replicas are replaced: the bound on that, and whole runs with the fake server.
#include "runtime/host/rejoin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "runtime/host/clock.h"
#include "tests/host/harness.h"

namespace evenkeel::test {
namespace {

using host::kNsPerSecond;
using host::RestartBudget;

TEST(RestartBudget, AllowsSoManyAMinute) {
  RestartBudget budget;
  uint64_t now = 5 * kNsPerSecond;
  for (uint32_t i = 0; i < RestartBudget::kRestartsPerMinute; ++i, now += kNsPerSecond / 10) {
    ASSERT_TRUE(budget.allows(now)) << i;
    budget.spend(now);
  }
  EXPECT_FALSE(budget.allows(now));
}

TEST(RestartBudget, AllowsMoreWhenTheMinuteHasPassed) {
  RestartBudget budget;
  const uint64_t begin = 5 * kNsPerSecond;
  for (uint32_t i = 0; i < RestartBudget::kRestartsPerMinute; ++i) {
    budget.spend(begin + i * kNsPerSecond / 10);
  }
  EXPECT_FALSE(budget.allows(begin + 60 * kNsPerSecond));
  EXPECT_TRUE(budget.allows(begin + 60 * kNsPerSecond + 1));
  budget.spend(begin + 60 * kNsPerSecond + 1);  // takes the place of the first
  EXPECT_FALSE(budget.allows(begin + 60 * kNsPerSecond + 1));
  EXPECT_TRUE(budget.allows(begin + 61 * kNsPerSecond));
}

TEST(Rejoin, AReplacementHasTheWholeState) {
  ServerRun run;
  Client client = run.client();
  for (int i = 1; i <= 20; ++i) {
    EXPECT_EQ(client.ask("!die " + std::to_string(i % 2)), "ok");
    EXPECT_EQ(client.ask("!count"), std::to_string(i));
    const auto status = run.await_live(2);
    EXPECT_EQ(status["rejoins"], i);
    EXPECT_EQ(status["divergences"], 0);
    EXPECT_EQ(status["leaks"], 0);
  }
  EXPECT_NE(run.errors().find("is replaced after"), std::string::npos);
}

TEST(Rejoin, ServesAloneMeanwhileAndWhileIdle) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  const std::vector<pid_t> before = run.replica_pids();
  ::kill(before.at(0), SIGKILL);
  EXPECT_EQ(client.ask("!count"), "2");
  EXPECT_EQ(run.await_live(2)["primary"], 1);
  const std::vector<pid_t> after = run.replica_pids();
  EXPECT_NE(after.at(0), before.at(0));
  EXPECT_EQ(after.at(1), before.at(1));
  ::kill(after.at(1), SIGKILL);  // now everything depends on the replacement
  EXPECT_EQ(client.ask("!count"), "3");
  EXPECT_EQ(run.await_live(2)["primary"], 0);
}

TEST(Rejoin, TriesAgainWhenReplacementsDieInTheirJoin) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!bad-joins 3"), "ok");
  EXPECT_EQ(client.ask("!die 1"), "ok");
  EXPECT_EQ(client.ask("!count"), "1");
  const auto status = run.await_live(2);
  EXPECT_EQ(status["rejoins"], 1);
  EXPECT_EQ(client.ask("!count"), "2");
  const std::string said = run.errors();
  EXPECT_NE(said.find("another one in 200 ms"), std::string::npos) << said;
}

TEST(Rejoin, ADivergenceAfterItIsSeenByTheReplacement) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!die 1"), "ok");
  static_cast<void>(run.await_live(2));
  EXPECT_EQ(client.ask("!diverge"), "ok");
  EXPECT_EQ(run.status()["divergences"], 1);
  EXPECT_EQ(client.ask("!die 0"), "ok");
  EXPECT_EQ(client.ask("!diverge"), "ok");
  EXPECT_EQ(run.await_live(2)["leaks"], 0);
}

TEST(Rejoin, SeveralAtOnce) {
  ServerRun run({"--replicas", "4"});
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  const std::vector<pid_t> pids = run.replica_pids();
  for (const size_t victim : {0, 1, 3}) ::kill(pids.at(victim), SIGKILL);
  EXPECT_EQ(client.ask("!count"), "2");
  const auto status = run.await_live(4);
  EXPECT_EQ(status["primary"], 2);
  EXPECT_EQ(status["rejoins"], 3);
  EXPECT_EQ(client.ask("!count"), "3");
}

TEST(Rejoin, ARunThatEndsTakesStartingReplacementsWithIt) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!bad-joins 1000"), "ok");
  EXPECT_EQ(client.ask("!die 1"), "ok");
  run.signal(SIGTERM);
  EXPECT_EQ(run.exit_code(), 0);
}

}  // namespace
}  // namespace evenkeel::test
