// Whole runs with the fake server: replicas that differ, crash, die and hang.
#include "runtime/host/repair.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "tests/host/harness.h"

namespace evenkeel::test {
namespace {

TEST(Repair, ADivergenceIsRepairedAndNamed) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_EQ(client.ask("!diverge"), "ok");
  EXPECT_EQ(client.ask("!count"), "2");
  const auto status = run.status();
  EXPECT_EQ(status["divergences"], 1);
  EXPECT_EQ(status["rollbacks"], 1);
  EXPECT_EQ(status["reexecutions"], 1);
  EXPECT_EQ(status["leaks"], 0);
  const auto reports = run.reports();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0]["kind"], "DIVERGENCE");
  ASSERT_EQ(reports[0]["differences"].size(), 1U);
  const auto& difference = reports[0]["differences"][0];
  EXPECT_EQ(difference["place"], "heap block B3.5521, 96 bytes");
  EXPECT_EQ(difference["begin"], 16);
  EXPECT_EQ(difference["sides"][0]["value"], "00000000");
  EXPECT_EQ(difference["sides"][1]["value"], "2a000000");
  EXPECT_EQ(reports[0]["inputs"][0]["preview"], "!diverge\\n");
}

TEST(Repair, ADifferingGlobalIsNamedByItsSymbol) {
  ServerRun run({"--replicas", "3"});
  Client client = run.client();
  EXPECT_EQ(client.ask("!diverge-global"), "ok");
  const auto reports = run.reports();
  ASSERT_EQ(reports.size(), 1U);
  const auto& difference = reports[0]["differences"][0];
  EXPECT_EQ(difference["symbol"], "fake_shared_counter");
  EXPECT_EQ(difference["begin"], 24);
  EXPECT_EQ(difference["sides"][1]["replicas"], nlohmann::json({1, 2}));
}

TEST(Repair, DifferingOutputIsNotSeenByAnybody) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!diverge-output"), "ok");
  client.send("!print seen\n");
  EXPECT_EQ(run.output_line(), "seen");
  ASSERT_EQ(run.reports().size(), 1U);
  EXPECT_EQ(run.reports()[0]["outputs"][0]["sides"][1]["value"], "never seen\\n");
}

TEST(Repair, AFollowerThatStopsEarlyIsADivergence) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!stop-early"), "ok");
  EXPECT_EQ(run.status()["divergences"], 1);
}

TEST(Repair, ALeakIsAdoptedReportedAndOver) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!leak"), "ok");
  EXPECT_EQ(client.ask("!count"), "1");
  const auto status = run.status();
  EXPECT_EQ(status["leaks"], 1);
  EXPECT_EQ(status["divergences"], 1);  // the states agree again: no more
  EXPECT_NE(run.errors().find("LEAK in batch"), std::string::npos);
  const auto reports = run.reports();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[1]["kind"], "LEAK");
}

TEST(Repair, ACrashInOneInterleavingIsMasked) {
  for (const char* order : {"!race-crash 0", "!race-crash 1"}) {
    ServerRun run;
    Client client = run.client();
    EXPECT_EQ(client.ask(order), "ok");
    const auto status = run.status();
    EXPECT_EQ(status["faults"], 1);
    EXPECT_EQ(status["leaks"], 0);
    EXPECT_EQ(status["replicas_live"], 2);
    EXPECT_EQ(run.reports()[0]["kind"], "FAULT");
  }
}

TEST(Repair, APoisonInputCostsItsClientOnly) {
  for (const char* replicas : {"1", "2"}) {
    ServerRun run({"--replicas", replicas});
    Client good = run.client();
    EXPECT_EQ(good.ask("!count"), "1");
    Client bad = run.client();
    bad.send("!crash\n");
    EXPECT_EQ(bad.ending(), ECONNRESET);
    EXPECT_EQ(good.ask("!count"), "2");
    const auto status = run.status();
    EXPECT_EQ(status["faults"], 1);
    EXPECT_EQ(status["poisoned_inputs"], 1);
  }
}

TEST(Repair, APoisonInputEndsTheServerIfAskedTo) {
  ServerRun run({"--on-poison", "crash"});
  run.client().send("!crash\n");
  EXPECT_EQ(run.exit_code(), 128 + SIGSEGV);
  EXPECT_EQ(run.reports()[0]["kind"], "FAULT");
}

TEST(Repair, ServiceSurvivesTheDeathOfAFollower) {
  ServerRun run;
  Client client = run.client();
  client.send("!die 1\n");
  EXPECT_EQ(client.line(), "ok");
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_NE(run.errors().find("replica 1 was killed by signal 9"), std::string::npos);
  EXPECT_EQ(run.await_live(2)["rejoins"], 1);
}

TEST(Repair, ServiceSurvivesTheDeathOfThePrimaryWithinABatch) {
  ServerRun run({"--replicas", "3"});
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_EQ(client.ask("!die 0"), "ok");
  EXPECT_EQ(client.ask("!count"), "2");
  const auto status = run.await_live(3);
  EXPECT_EQ(status["primary"], 1);
  EXPECT_EQ(status["leaks"], 0);
}

TEST(Repair, AFollowerDoesNotWaitForAPrimaryThatNeverBegan) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!die-next 0"), "ok");
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_EQ(run.status()["primary"], 1);
}

TEST(Repair, ServiceSurvivesADeathWhileIdle) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  const pid_t victim = run.replica_pids().at(0);
  ASSERT_GT(victim, 1);
  ::kill(victim, SIGKILL);
  EXPECT_EQ(client.ask("!count"), "2");
  EXPECT_EQ(client.ask("!count"), "3");
}

TEST(Repair, TheRunEndsAsItsLastReplicaDid) {
  ServerRun run;
  Client client = run.client();
  client.send("!die-all\n");
  EXPECT_EQ(run.exit_code(), 128 + SIGKILL);
}

TEST(Repair, AHungReplicaIsEndedIfAnotherIsFine) {
  ServerRun run({"--hang-timeout", "1"});
  Client client = run.client();
  EXPECT_EQ(client.ask("!hang 1"), "ok");
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_EQ(run.await_live(2)["rejoins"], 1);
}

TEST(Repair, WhenAllHangTheRunEndsWithAReport) {
  ServerRun run({"--hang-timeout", "1", "--replicas", "1"});
  Client client = run.client();
  const auto pids = (static_cast<void>(client.ask("x")), run.replica_pids());
  client.send("!hang 0\n");
  EXPECT_EQ(run.exit_code(), 70);
  EXPECT_EQ(run.reports().back()["kind"], "HANG");
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST(Repair, ForcedRollbacksChangeNothingAClientSees) {
  ServerRun run({"--force-mismatch", "1"});
  Client a = run.client();
  Client b = run.client();
  for (int i = 1; i <= 1000; ++i) {
    EXPECT_EQ((i % 2 == 0 ? a : b).ask("!count"), std::to_string(i));
  }
  const auto status = run.status();
  EXPECT_GE(status["rollbacks"].get<int>(), 1000);
  EXPECT_EQ(status["forced_divergences"], status["divergences"]);
  EXPECT_EQ(status["leaks"], 0);
}

TEST(Repair, SequentialModeComparesEveryInput) {
  ServerRun run({"--mode", "sequential"});
  Client client = run.client();
  EXPECT_EQ(client.ask("!count"), "1");
  EXPECT_EQ(client.ask("!diverge"), "ok");  // cannot happen sequentially
  EXPECT_EQ(client.ask("!leak"), "ok");
  EXPECT_EQ(client.ask("!timer 5"), "tick");
  const auto status = run.status();
  EXPECT_EQ(status["divergences"], 0);
  EXPECT_EQ(status["leaks"], 1);
  EXPECT_EQ(status["rollbacks"], 0);
}

}  // namespace
}  // namespace evenkeel::test
