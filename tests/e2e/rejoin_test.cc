// Replicas are killed, and clients do not notice: every acknowledged write is read back, and the
// number of replicas is what it was.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/scale.h"
#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::vector<pid_t> live_replicas(const nlohmann::json& status) {
  std::vector<pid_t> pids;
  for (const auto& replica : status.at("breakdown").at("replicas")) {
    if (replica.at("live").get<bool>()) pids.push_back(replica.at("pid"));
  }
  return pids;
}

// All there, so many having been replaced: a death that nobody has noticed yet does not count.
bool complete(const nlohmann::json& status, int rejoins) {
  return status.at("replicas_live") == status.at("replicas") && status.at("rejoins") >= rejoins;
}

nlohmann::json await_complete(const Server& server, int rejoins) {
  const auto end = Clock::now() + kPatience;
  nlohmann::json status = server.status();
  while (!complete(status, rejoins) && Clock::now() < end) status = server.status();
  EXPECT_TRUE(complete(status, rejoins)) << status;
  return status;
}

// Load after load on one server, each checking its answers and at its end every key.
class Loads {
 public:
  Loads(uint16_t port, Words arguments) : port_(port), arguments_(std::move(arguments)) {}

  // Runs on for that long.
  void run_for(milliseconds time) {
    const auto end = Clock::now() + time;
    for (auto now = Clock::now(); now < end; now = Clock::now()) {
      if (load_ == nullptr) start();
      if (!load_->wait_until_ended(std::chrono::duration_cast<milliseconds>(end - now))) return;
      finish();
    }
  }
  void finish() {
    if (load_ == nullptr) return;
    EXPECT_EQ(load_->wait(Seconds{600}), (Ending{.status = 0})) << load_->err() << load_->out();
    load_.reset();
    ++finished_;
  }
  [[nodiscard]] int finished() const { return finished_; }

 private:
  void start() {
    Words words{EVENKEEL_BIN_DIR "/evenkeel-load", "--port", std::to_string(port_)};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    words.insert(words.end(), {"--seed", std::to_string(finished_ + 1)});
    load_ = std::make_unique<Process>(words);
  }

  uint16_t port_;
  Words arguments_;
  std::unique_ptr<Process> load_;
  int finished_ = 0;
};

const Words kNineToOne{"--requests",       "20000", "--keys", "100",
                       "--write-fraction", "0.1",   "--sweep"};

// Nor may a replacement find that what it took is not its source's state.
void expect_no_loss(Server& server, int kills) {
  const auto status = await_complete(server, kills);
  const std::string said = server.process().err();
  EXPECT_EQ(status.at("leaks"), 0) << status << said;
  EXPECT_EQ(status.at("rejoins"), kills) << status << said;
  EXPECT_EQ(said.find("FATAL"), std::string::npos) << said;
}

struct Storm {
  const char* name;
  Words options;  // of evenkeel run
  milliseconds kill_interval{500};
};
void PrintTo(const Storm& storm, std::ostream* out) { *out << storm.name; }

const Storm kStorms[] = {
    {"TwoReplicas", {}},
    {"ThreeReplicas", {"--replicas", "3"}},
    {"Mprotect", {"--tracker", "mprotect"}},
    {"InRepair", {"--force-mismatch", "2"}},
    // Soon after they have joined: some die in the middle of a commit.
    {"Incessant", {"--replicas", "3"}, milliseconds{200}},
};

class KillStorm : public testing::TestWithParam<Storm> {};

// Any replica, whatever it is doing, but never the last that has the state.
TEST_P(KillStorm, CostsNoClientAnything) {
  const milliseconds duration{1000 * scale("EVENKEEL_TEST_SECONDS", 5)};
  const milliseconds interval = GetParam().kill_interval;
  Server server = Server::evenkeel(GetParam().options, memcached_command({"-m", "256"}));
  Loads loads(server.port(), kNineToOne);
  std::mt19937 random(7);
  int kills = 0;
  const auto end = Clock::now() + duration;
  while (Clock::now() < end && !HasFailure()) {
    loads.run_for(interval);
    const auto status = server.status();
    if (!complete(status, kills)) continue;
    const std::vector<pid_t> replicas = live_replicas(status);
    ASSERT_EQ(kill(replicas[random() % replicas.size()], SIGKILL), 0);
    ++kills;
  }
  loads.finish();
  expect_no_loss(server, kills);
  EXPECT_GE(kills, duration / interval / 2);
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  std::printf("%d kills, %d loads\n", kills, loads.finished());
}

INSTANTIATE_TEST_SUITE_P(Storms, KillStorm, testing::ValuesIn(kStorms),
                         [](const auto& test) { return test.param.name; });

// A process that has appeared among the coordinator's children: a replacement, in some stage of its
// start or its join.
pid_t await_new_child(Server& server, const std::set<pid_t>& known) {
  const auto end = Clock::now() + kPatience;
  while (Clock::now() < end) {
    for (const pid_t pid : descendants(server.process().pid())) {
      if (!known.contains(pid)) return pid;
    }
  }
  return -1;
}

TEST(Rejoin, ReplacementsAreKilledToo) {
  Server server = Server::evenkeel({}, memcached_command());
  Loads loads(server.port(), kNineToOne);
  std::mt19937 random(11);
  for (int round = 0; round < 8; ++round) {
    const std::vector<pid_t> replicas = live_replicas(await_complete(server, round));
    std::set<pid_t> known(replicas.begin(), replicas.end());
    kill(replicas[static_cast<size_t>(round) % 2], SIGKILL);
    for (int i = 0; i < 2; ++i) {
      const pid_t replacement = await_new_child(server, known);
      ASSERT_GT(replacement, 0);
      known.insert(replacement);
      loads.run_for(milliseconds{random() % 30});  // from exec to its first batches
      kill(replacement, SIGKILL);
    }
    loads.run_for(milliseconds{100});
  }
  loads.finish();
  const auto status = await_complete(server, 8);
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

// Two of three at the same moment, the primary among them.
TEST(Rejoin, SeveralAtOnce) {
  Server server = Server::evenkeel({"--replicas", "3"}, memcached_command());
  Loads loads(server.port(), kNineToOne);
  for (size_t survivor = 0; survivor < 3; ++survivor) {
    loads.run_for(milliseconds{300});
    const auto status = await_complete(server, 2 * static_cast<int>(survivor));
    const std::vector<pid_t> replicas = live_replicas(status);
    for (size_t i = 0; i < 3; ++i) {
      if (i != survivor) kill(replicas[i], SIGKILL);
    }
    loads.run_for(milliseconds{300});
  }
  loads.finish();
  expect_no_loss(server, 6);
}

// Each request leaves replicas that differ even when it runs alone: all take one's state, and while
// they do so they are killed.
TEST(Rejoin, LeaksAreSettledWhileReplicasDie) {
  const TemporaryDirectory directory;
  Server server = Server::evenkeel(
      {"--replicas", "3"}, {EVENKEEL_BIN_DIR "/e2e_stateful_server", "{port}", directory.path()});
  MemcacheClient client(server.port());
  std::mt19937 random(13);
  int kills = 0;
  for (int i = 1; i <= 150; ++i) {
    std::vector<pid_t> replicas;
    if (i % 5 == 0) replicas = live_replicas(server.status());
    client.send("leak\n");
    if (replicas.size() == 3) {
      kill(replicas[random() % 3], SIGKILL);
      ++kills;
    }
    ASSERT_EQ(client.receive_until("\n"), "leak " + std::to_string(i) + "\n");
  }
  const auto status = await_complete(server, kills);
  EXPECT_GE(status.at("leaks"), 100) << status;
  EXPECT_GE(kills, 5);
}

// What a process has besides its memory. The same conversation natively and with every replica
// replaced between any two lines must read the same.
std::vector<std::string> converse(Server& server, bool replace) {
  std::vector<std::string> answers;
  MemcacheClient client(server.port());
  int kills = 0;
  for (const char* line :
       {"state", "load", "map", "open", "state", "work", "work", "state", "append one", "protect",
        "work", "state", "title replaced", "append two", "state", "work", "state"}) {
    client.send(std::string(line) + "\n");
    answers.push_back(client.receive_until("\n"));
    for (size_t victim = 0; replace && victim < 2; ++victim) {
      kill(live_replicas(await_complete(server, kills)).at(victim), SIGKILL);
      await_complete(server, ++kills);
    }
  }
  return answers;
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Rejoin, AReplacementHasWhatTheProcessHad) {
  const TemporaryDirectory directory;
  const auto run = [&](const char* name, bool replace) {
    const auto place = directory.path() / name;
    std::filesystem::create_directory(place);
    std::filesystem::copy(EVENKEEL_BIN_DIR "/../tests/e2e/libe2e_plugin.so", place / "plugin.so");
    const Words command{EVENKEEL_BIN_DIR "/e2e_stateful_server", "{port}", place};
    Server server = replace ? Server::evenkeel({}, command) : Server::native(command);
    auto answers = converse(server, replace);
    if (replace) {
      EXPECT_EQ(server.status().at("leaks"), 0) << server.process().err();
    }
    server.process().signal(SIGKILL);
    answers.push_back(content_of(place / "log"));
    return answers;
  };
  const auto native = run("native", false);
  const auto replaced = run("replaced", true);
  ASSERT_EQ(native.size(), replaced.size());
  for (size_t i = 0; i < native.size(); ++i) EXPECT_EQ(replaced[i], native[i]) << "answer " << i;
  EXPECT_EQ(native.back(), "one\ntwo\n");
}

}  // namespace
}  // namespace evenkeel::test
