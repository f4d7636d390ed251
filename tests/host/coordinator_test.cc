// Whole runs with the fake server: ordinary service, start and end.
#include "runtime/host/coordinator.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/host/harness.h"

namespace evenkeel::test {
namespace {

TEST(Coordinator, EchoesWhatClientsSend) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("hello"), "hello");
  EXPECT_EQ(client.ask("again"), "again");
  const auto status = run.status();
  EXPECT_EQ(status["requests"], 2);
  EXPECT_EQ(status["divergences"], 0);
}

TEST(Coordinator, KeepsManyClientsApart) {
  ServerRun run;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(run.port()));
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) {
      clients[i]->send(std::to_string(i * 1000 + static_cast<size_t>(round)) + "\n");
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(clients[i]->line(), std::to_string(i * 1000 + static_cast<size_t>(round)));
    }
  }
}

TEST(Coordinator, ReusesTheSlotsOfClosedConnections) {
  ServerRun run;
  for (int i = 0; i < 600; ++i) {  // more than the fake server holds at once
    Client client = run.client();
    EXPECT_EQ(client.ask("x"), "x");
    client.finish_sending();
    EXPECT_EQ(client.ending(), 0);
  }
}

TEST(Coordinator, CarriesARequestLargerThanABatch) {
  ServerRun run;
  Client client = run.client();
  std::string text(32 << 20, 'q');
  for (size_t i = 0; i < text.size(); i += 4093) text[i] = static_cast<char>('a' + i % 26);
  size_t sent = 0;
  std::string echoed;
  while (echoed.size() < text.size()) {
    if (sent < text.size()) sent += client.send_some(text.substr(sent, 1 << 20));
    const size_t expected = std::min<size_t>(sent - echoed.size(), 1 << 16);
    echoed += client.exactly(expected);
  }
  EXPECT_TRUE(echoed == text);
}

TEST(Coordinator, RunsTimersWithoutInput) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!timer 20"), "tick");
}

TEST(Coordinator, HoldsOutputForAClientThatDoesNotRead) {
  ServerRun run;
  Client slow = run.client(4096);
  constexpr size_t kBytes = 24 << 20;
  slow.send("!big " + std::to_string(kBytes) + "\n");
  Client other = run.client();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(other.ask("still served"), "still served");
  EXPECT_EQ(slow.exactly(kBytes), std::string(kBytes, 'x'));
  EXPECT_EQ(slow.ask("after"), "after");
}

TEST(Coordinator, ClosesOnlyAfterASlowClientHasReadEverything) {
  ServerRun run;
  Client slow = run.client(4096);
  slow.send("!big 8000000\n");
  slow.finish_sending();
  EXPECT_EQ(slow.exactly(8000000), std::string(8000000, 'x'));
  EXPECT_EQ(slow.ending(), 0);
}

TEST(Coordinator, StopsReadingWhileTheServerWantsNoMore) {
  ServerRun run;
  Client client = run.client();
  client.send("!pause 300\n");
  Client other = run.client();
  EXPECT_EQ(other.ask("x"), "x");  // the pause has been released by now
  client.send("held back\n");
  EXPECT_EQ(client.line(), "resumed");
  EXPECT_EQ(client.line(), "held back");
}

TEST(Coordinator, ClosesAbortsAndHalfClosesAsTheServerSays) {
  ServerRun run;
  Client closing = run.client();
  closing.send("!close\n");
  EXPECT_EQ(closing.ending(), 0);
  Client aborting = run.client();
  aborting.send("!abort\n");
  EXPECT_EQ(aborting.ending(), ECONNRESET);
  Client half = run.client();
  half.send("!shutdown\n");
  EXPECT_EQ(half.ending(), 0);
  half.send("!count\n");  // its other direction still works
  Client other = run.client();
  EXPECT_EQ(other.ask("!count"), "2");
}

TEST(Coordinator, StopsListeningWhenTheServerDoes) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!unlisten"), "ok");
  EXPECT_THROW(run.client(), std::runtime_error);
}

TEST(Coordinator, ConnectsOnceForAllReplicas) {
  ServerRun back;
  ServerRun front;
  Client client = front.client();
  EXPECT_EQ(client.ask("!connect " + std::to_string(back.port())), "connected 0");
  EXPECT_EQ(client.ask("!forward through"), "through");
  EXPECT_EQ(back.status()["requests"], 1);
}

TEST(Coordinator, TellsOfARefusedConnection) {
  uint16_t port = 0;
  {
    ServerRun gone;
    port = gone.port();
  }
  ServerRun run;
  Client client = run.client();
  const std::string answer = client.ask("!connect " + std::to_string(port));
  EXPECT_EQ(answer, "connected " + std::to_string(ECONNREFUSED));
}

TEST(Coordinator, PrintsOnceWhateverTheNumberOfReplicas) {
  ServerRun run({"--replicas", "3"});
  Client client = run.client();
  client.send("!print only once\n");
  EXPECT_EQ(run.output_line(), "only once");
  client.send("!print and then this\n");
  EXPECT_EQ(run.output_line(), "and then this");
}

TEST(Coordinator, ExitsWithTheServersStatus) {
  ServerRun run;
  run.client().send("!exit 5\n");
  EXPECT_EQ(run.exit_code(), 5);
}

TEST(Coordinator, ForwardsSignals) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("x"), "x");
  run.signal(SIGUSR1);
  EXPECT_EQ(client.line(), "signal 10");
  run.signal(SIGTERM);
  EXPECT_EQ(run.exit_code(), 0);
}

TEST(Coordinator, EndsByTheSignalThatEndsTheServer) {
  ServerRun run;
  EXPECT_EQ(run.client().ask("x"), "x");
  run.signal(SIGHUP);
  const int status = run.wait();
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGHUP);
}

TEST(Coordinator, ASecondInterruptEndsAServerThatIgnoresTheFirst) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("x"), "x");
  run.signal(SIGINT);
  EXPECT_EQ(client.ask("still here"), "still here");
  const auto pids = run.replica_pids();
  run.signal(SIGINT);
  EXPECT_EQ(run.exit_code(), 128 + SIGINT);
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST(Coordinator, LeavesNoReplicaBehindWhenKilled) {
  ServerRun run;
  EXPECT_EQ(run.client().ask("x"), "x");
  const auto pids = run.replica_pids();
  ASSERT_EQ(pids.size(), 2U);
  run.signal(SIGKILL);
  run.wait();
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST(Coordinator, AServerThatCannotBindSaysSoAndEndsWithItsStatus) {
  ServerRun first;
  ServerRun second({}, {"--port", std::to_string(first.port())});
  EXPECT_EQ(second.exit_code(), 71);
  EXPECT_EQ(second.errors(), "fake: bind: Address already in use\n");
}

TEST(Coordinator, AServerThatEndsAtOnceSpeaksOnce) {
  ServerRun run({"--replicas", "4"}, {"--exit-at-start", "3"});
  EXPECT_EQ(run.exit_code(), 3);
  EXPECT_EQ(run.errors(), "fake: not today\n");
}

TEST(Coordinator, AServerThatCrashesAtOnceEndsBySignal) {
  ServerRun run({}, {"--crash-at-start"});
  EXPECT_EQ(run.exit_code(), 128 + SIGSEGV);
}

TEST(Coordinator, RepeatsAStartThatDiverged) {
  ServerRun run({}, {"--diverge-at-start"});
  EXPECT_EQ(run.client().ask("x"), "x");
  const auto status = run.status();
  EXPECT_EQ(status["divergences"], 1);
  EXPECT_EQ(status["leaks"], 0);
  ASSERT_EQ(run.reports().size(), 1U);
  EXPECT_EQ(run.reports()[0]["differences"][0]["place"], "heap block B3.5521, 96 bytes");
}

TEST(Coordinator, GoesIntoTheBackground) {
  TemporaryDirectory state;
  ServerRun run({}, {"--daemonise"}, &state.path());
  const pid_t started = run.pid();
  EXPECT_EQ(run.exit_code(), 0);
  const pid_t daemon = run.status()["pid"];
  ASSERT_GT(daemon, 1);
  EXPECT_NE(daemon, started);
  std::string answer;
  EXPECT_NO_THROW(answer = run.client().ask("x"));
  EXPECT_EQ(answer, "x");
  ::kill(daemon, SIGTERM);
  EXPECT_TRUE(is_gone(daemon));
}

TEST(Coordinator, ADaemonThatFailsToStartTellsItsStatus) {
  ServerRun first;
  ServerRun second({}, {"--daemonise", "--port", std::to_string(first.port())});
  EXPECT_EQ(second.exit_code(), 71);
}

TEST(Coordinator, RunsAScriptThatLeadsToTheServer) {
  TemporaryDirectory directory;
  const auto script = directory.path() / "wrapper";
  {
    std::ofstream file(script);
    file << "#!/bin/sh\nexec " EVENKEEL_TEST_SERVER " --exit-at-start 6\n";
  }
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  const std::string state = (directory.path() / "state").string();
  EXPECT_EQ(evenkeel({"run", "--state-dir", state, "--", script.string()}).status, 6);
}

TEST(Coordinator, StatusHasTheDocumentedKeys) {
  ServerRun run;
  Client client = run.client();
  EXPECT_EQ(client.ask("!unhandled 257"), "ok");
  const auto status = run.status();
  for (const char* key :
       {"replicas", "replicas_live", "batches", "requests", "divergences", "rollbacks",
        "reexecutions", "leaks", "faults", "dirty_pages", "unhandled_calls", "breakdown"}) {
    EXPECT_TRUE(status.contains(key)) << key;
  }
  EXPECT_EQ(status["unhandled_calls"]["openat"], 1);
  EXPECT_EQ(status["replicas_live"], 2);
}

}  // namespace
}  // namespace evenkeel::test
