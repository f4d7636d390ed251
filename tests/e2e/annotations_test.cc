// Annotated servers: replicas of independent order that still agree, bugs that cannot manifest,
// waits that are no deadlocks, and footprints that lie.
#include <evenkeel/annotate.h>
#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <set>
#include <thread>

#include "tests/e2e/scale.h"
#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Words annotated_store(const Words& extra = {}) {
  return joined({EVENKEEL_BIN_DIR "/kvstore-annotated", "--port", "{port}"}, extra);
}
const Words kPool{"--threads", "16", "--buckets", "4096", "--work", "0"};
const Words kIndependent{"--order", "independent", "--carriers", "16"};

const Words kOwnKeys{
    "--write-fraction", "0.3", "--delete-fraction", "0.1", "--incr-fraction", "0.1", "--sweep"};
const Words kHotKey{"--shared", "--counters",       "1",  "--keys", "1", "--incr-fraction",
                    "0.4",      "--write-fraction", "0.3"};

nlohmann::json serve(Server& server, const Words& load_arguments, const char* requests) {
  const LoadResult load = run_load(server.port(), joined({"--requests", requests}, load_arguments));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const nlohmann::json status = server.status();
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(status.at("replicas_live"), 2) << status;
  EXPECT_EQ(status.at("faults"), 0) << status;
  return status;
}

// ---- the store

TEST(AnnotatedStore, NeverDivergesInIndependentOrder) {
  for (const char* follower : {"parallel", "serial"}) {
    Server server =
        Server::evenkeel(joined(kIndependent, {"--follower", follower}), annotated_store(kPool));
    const auto status = serve(server, joined(kOwnKeys, {"--pipeline", "4"}), "10000");
    EXPECT_EQ(status.at("divergences"), 0) << follower << status;
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  }
}

// All requests conflict, also in the kvstore whose increments take no lock, or two.
TEST(AnnotatedStore, BugsCannotManifest) {
  for (const char* bug : {"none", "lost-update", "split-lock", "torn-value"}) {
    Server server = Server::evenkeel(
        kIndependent, annotated_store({"--threads", "16", "--bug", bug, "--work", "1000"}));
    const auto status = serve(server, kHotKey, "4000");
    EXPECT_EQ(status.at("divergences"), 0) << bug << status;
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  }
}

TEST(AnnotatedStore, ServesInRecordedOrderToo) {
  Server server = Server::evenkeel({}, annotated_store(kPool));
  const auto status = serve(server, kHotKey, "4000");
  EXPECT_EQ(status.at("divergences"), 0) << status;
}

TEST(AnnotatedStore, SurvivesForcedRollbacks) {
  for (const char* tracker : {"uffd", "mprotect"}) {
    Server server =
        Server::evenkeel(joined(kIndependent, {"--force-mismatch", "2", "--tracker", tracker}),
                         annotated_store(kPool));
    const auto status = serve(server, joined(kOwnKeys, {"--connections", "20"}), "1500");
    EXPECT_GT(status.at("rollbacks"), 0) << status;
    serve(server, kHotKey, "1000");
  }
}

// While requests wait for their groups one replica is killed, then the other one of the first two.
TEST(AnnotatedStore, OutlivesItsReplicas) {
  Server server = Server::evenkeel(kIndependent, annotated_store(kPool));
  auto load = std::async(std::launch::async, [&] {
    return run_load(server.port(), joined({"--requests", "6000"}, kOwnKeys));
  });
  for (const size_t victim : {0, 1}) {
    const auto before = server.status();
    const auto busy = [&] {
      const auto now = server.status();
      return now.at("replicas_live") == 2 &&
             now.at("requests").get<uint64_t>() > before.at("requests").get<uint64_t>() + 300;
    };
    while (!busy()) std::this_thread::yield();
    const pid_t pid = server.status().at("breakdown").at("replicas").at(victim).at("pid");
    ASSERT_EQ(kill(pid, SIGKILL), 0);
  }
  const LoadResult result = load.get();
  EXPECT_EQ(result.status, 0) << result.complaints;
  while (server.status().at("replicas_live") != 2) std::this_thread::yield();
  const auto status = server.status();
  EXPECT_EQ(status.at("rejoins"), 2) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(status.at("divergences"), 0) << status;
}

TEST(AnnotatedStore, StatisticsAreExact) {
  Server server = Server::evenkeel(kIndependent, annotated_store(kPool));
  serve(server, {"--write-fraction", "1", "--preload", "no"}, "3000");
  MemcacheClient client(server.port());
  client.send("stats\r\n");
  const std::string stats = client.receive_until("END\r\n");
  EXPECT_NE(stats.find("STAT cmd_set 3000\r\n"), std::string::npos) << stats;
  EXPECT_EQ(server.status().at("divergences"), 0);
}

// One conflict in ten is overlooked: right answers all the same.
TEST(AnnotatedStore, LyingFootprintsCostNoAnswer) {
  for (const char* follower : {"parallel", "serial"}) {
    Server server =
        Server::evenkeel(joined(kIndependent, {"--follower", follower, "--missed-conflicts", "10"}),
                         annotated_store({"--threads", "16", "--work", "1000"}));
    serve(server, kHotKey, "4000");
  }
}

TEST(AnnotatedStore, FalseConflictsCostNothingButTime) {
  Server server =
      Server::evenkeel(joined(kIndependent, {"--false-conflicts", "4"}), annotated_store(kPool));
  const auto status = serve(server, kOwnKeys, "5000");
  EXPECT_EQ(status.at("divergences"), 0) << status;
}

// ---- single annotations

Words annotated_server() { return {EVENKEEL_BIN_DIR "/e2e_annotated_server", "{port}"}; }

std::string ask(MemcacheClient& client, std::string_view line) {
  client.send(std::string(line) + "\n");
  return client.receive_until("\n");
}

TEST(Annotations, WaitingForAGroupWithALockInHandIsNoDeadlock) {
  for (const char* order : {"recorded", "independent"}) {
    Server server = Server::evenkeel({"--order", order}, annotated_server());
    std::vector<MemcacheClient> clients;
    for (int i = 0; i < 8; ++i) clients.emplace_back(server.port());
    std::set<std::string> numbers;
    constexpr int kRounds = 20;
    for (int round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < clients.size(); ++i)
        clients[i].send(i % 2 == 0 ? "hold\n" : "plain\n");
      for (auto& client : clients) numbers.insert(client.receive_until("\n"));
    }
    EXPECT_EQ(numbers.size(), clients.size() * kRounds);
    const auto status = server.status();
    EXPECT_EQ(status.at("deadlocks"), 0) << status;
    EXPECT_EQ(status.at("lost_wakeups"), 0) << status;
    EXPECT_EQ(status.at("faults"), 0) << status;
    EXPECT_EQ(status.at("leaks"), 0) << status;
  }
}

TEST(Annotations, RelaxedBytesMayDiffer) {
  Server server = Server::evenkeel({}, annotated_server());
  MemcacheClient client(server.port());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(client, "relaxed"), "relaxed\n");
  EXPECT_EQ(server.status().at("divergences"), 0);
  EXPECT_EQ(ask(client, "unrelax"), "unrelax\n");  // what differs is compared from now on
  EXPECT_GT(server.status().at("divergences"), 0);
}

TEST(Annotations, ReportsCallObjectsByTheirNames) {
  Server server = Server::evenkeel({}, annotated_server());
  MemcacheClient client(server.port());
  EXPECT_EQ(ask(client, "named"), "named\n");
  const Finished shown =
      run_to_end({evenkeel_path(), "report", "list", "--state-dir", server.state_dir()});
  EXPECT_EQ(shown.ending, (Ending{.status = 0}));
  EXPECT_NE(shown.out.find("the clock, 8 bytes"), std::string::npos) << shown.out;
}

// Nothing is there to obey them.
TEST(Annotations, AreSilentWithoutTheRuntime) {
  Server server = Server::native(annotated_server());
  MemcacheClient client(server.port());
  for (const char* line : {"hold", "plain"}) EXPECT_NE(ask(client, line), "");
  for (const char* line : {"relaxed", "named", "unrelax"}) {
    EXPECT_EQ(ask(client, line), std::string(line) + "\n");
  }
}

}  // namespace
}  // namespace evenkeel::test
