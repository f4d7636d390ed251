// A server's beginning and end, as its user sees them, are those of the bare server.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

constexpr Seconds kEndOfOrphans{20};

// Orphans of the processes that a test starts become its own children, so that it sees them all.
class Lifecycle : public testing::Test {
 protected:
  static void SetUpTestSuite() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

  // No process is left, or only for the moment that its death takes.
  static void expect_nothing_left() {
    const std::vector<pid_t> left = descendants(getpid());
    EXPECT_TRUE(Watched(left).wait_until_ended(kEndOfOrphans)) << left.size() << " processes";
    for (const pid_t pid : left) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
};

Words under_evenkeel(const Words& command) {
  Words words{evenkeel_path(), "run", "--"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::vector<pid_t> replicas_of(Server& server, const char* program) {
  std::vector<pid_t> found;
  for (const pid_t pid : descendants(server.process().pid())) {
    std::error_code gone;
    const auto path = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", gone);
    if (path.filename() == program) found.push_back(pid);
  }
  return found;
}

TEST_F(Lifecycle, ProgramsThatEndAtOnceAreUnchanged) {
  TemporaryDirectory state;
  const Environment environment{{"EVENKEEL_STATE_DIR", state.path()}};
  for (const Words& command :
       {Words{"memcached", "-V"}, Words{"memcached", "--no-such-option"},
        Words{kvstore_path(), "--help"}, Words{kvstore_path(), "--bug", "nonsense"}}) {
    const Finished native = run_to_end(command);
    const Finished under = run_to_end(under_evenkeel(command), environment);
    EXPECT_EQ(under.ending, native.ending) << command[1];
    EXPECT_EQ(under.out, native.out);
    EXPECT_NE(under.err.find(native.err), std::string::npos) << under.err;
    EXPECT_EQ(under.err.find(native.err), under.err.rfind(native.err)) << "said twice";
  }
  expect_nothing_left();
}

TEST_F(Lifecycle, PortInUseIsTheServersOwnError) {
  TemporaryDirectory state;
  Server first = Server::native(memcached_command());
  Words command = memcached_command();
  for (std::string& word : command) {
    if (word == "{port}") word = std::to_string(first.port());
  }
  const Finished native = run_to_end(command);
  ASSERT_NE(native.ending.status, 0);
  const Finished under =
      run_to_end(under_evenkeel(command), {{"EVENKEEL_STATE_DIR", state.path()}});
  EXPECT_EQ(under.ending, native.ending);
  EXPECT_NE(under.err.find(native.err), std::string::npos)
      << "native: " << native.err << "\nevenkeel: " << under.err;
  EXPECT_EQ(first.stop(), (Ending{.status = 0}));
  expect_nothing_left();
}

void expect_same_end(const Words& command, int number) {
  Server native = Server::native(command);
  Server under = Server::evenkeel({}, command);
  EXPECT_EQ(run_load(under.port(), {"--requests", "1000", "--keys", "10"}).status, 0);
  native.process().signal(number);
  under.process().signal(number);
  EXPECT_EQ(under.process().wait(), native.process().wait()) << command[0] << " " << number;
}

TEST_F(Lifecycle, SignalsEndTheServerAsTheyDoNatively) {
  expect_same_end(memcached_command(), SIGTERM);
  expect_same_end(kvstore_command(), SIGTERM);  // which it catches
  expect_same_end(kvstore_command(), SIGHUP);   // which it does not
  expect_nothing_left();
}

TEST_F(Lifecycle, SignalThatTheServerHandlesDoesNotEndIt) {
  Server server = Server::evenkeel({}, memcached_command());
  // At once: the port answers before the server's start-up is through.
  server.process().signal(SIGHUP);  // memcached: read the configuration again
  EXPECT_EQ(run_load(server.port(), {"--requests", "1000", "--keys", "10"}).status, 0);
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

TEST_F(Lifecycle, NoProcessOutlivesAKilledCoordinator) {
  Server server = Server::evenkeel({}, memcached_command());
  EXPECT_EQ(run_load(server.port(), {"--requests", "1000", "--keys", "10"}).status, 0);
  const Watched replicas(replicas_of(server, "memcached"));
  EXPECT_EQ(replicas.size(), 2u);
  server.process().signal(SIGKILL);
  EXPECT_EQ(server.process().wait().signal, SIGKILL);
  EXPECT_TRUE(replicas.wait_until_ended(kEndOfOrphans));
  expect_nothing_left();
}

TEST_F(Lifecycle, ServiceGoesOnWithoutAReplica) {
  for (const size_t victim : {size_t{0}, size_t{1}}) {
    Server server = Server::evenkeel({}, memcached_command());
    MemcacheClient client(server.port());
    EXPECT_EQ(client.text("set a 0 0 1\r\nx\r\n"), "STORED\r\n");
    const std::vector<pid_t> replicas = replicas_of(server, "memcached");
    ASSERT_EQ(replicas.size(), 2u);
    kill(replicas[victim], SIGKILL);
    EXPECT_EQ(client.text("get a\r\n"), "VALUE a 0 1\r\nx\r\nEND\r\n");
    EXPECT_EQ(run_load(server.port(), {"--requests", "2000", "--keys", "10"}).status, 0);
    EXPECT_EQ(server.status().at("leaks"), 0);
    EXPECT_EQ(server.stop(), (Ending{.status = 0}));
    EXPECT_NE(server.process().err().find("replica"), std::string::npos);
  }
  expect_nothing_left();
}

TEST_F(Lifecycle, HalfClosedConnectionsGetTheirAnswers) {
  Server server = Server::evenkeel({}, kvstore_command());
  MemcacheClient client(server.port());
  client.send("set a 0 0 1\r\nx\r\nget a\r\n");
  client.shut_down_sending();
  EXPECT_EQ(client.receive_until_closed(), "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

// 1,000 connections at once, all of them used.
TEST_F(Lifecycle, ManyConnections) {
  Server server = Server::evenkeel({}, memcached_command({"-c", "4096"}));
  const LoadResult load = run_load(
      server.port(), {"--connections", "1000", "--requests", "20000", "--keys", "2", "--sweep"});
  EXPECT_EQ(load.status, 0) << load.complaints;
}

// A client that does not read: its answers wait, and the others are served.
TEST_F(Lifecycle, SlowReaderLosesNothing) {
  Server server = Server::evenkeel({}, memcached_command());
  MemcacheClient slow(server.port());
  const std::string value(100000, 'v');
  slow.text("set big 0 0 100000\r\n" + value + "\r\n");
  std::string requests;
  for (int i = 0; i < 200; ++i) requests += "get big\r\n";
  slow.send(requests);  // 20 MB of answers
  EXPECT_EQ(run_load(server.port(), {"--requests", "5000", "--keys", "10"}).status, 0);
  const std::string answer = "VALUE big 0 100000\r\n" + value + "\r\nEND\r\n";
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(slow.receive(answer.size()) == answer) << i;
}

Environment preload(const TemporaryDirectory& state) {
  return {{"LD_PRELOAD", EVENKEEL_LIB_DIR "/libevenkeel.so"},
          {"EVENKEEL_STATE_DIR", state.path()},
          {"EVENKEEL_NAME", "preloaded-" + std::to_string(getpid())},
          {"EVENKEEL_TARGET", "memcached"}};
}

void expect_served_by_two(const Words& before) {
  TemporaryDirectory state;
  const uint16_t port = free_port();
  Words command = before;
  for (const std::string& word : memcached_command()) {
    command.push_back(word == "{port}" ? std::to_string(port) : word);
  }
  Process process(command, preload(state));
  wait_for_port(port, process);
  EXPECT_EQ(run_load(port, {"--requests", "1000", "--keys", "10"}).status, 0);
  const Finished status = run_to_end({evenkeel_path(), "status", "--state-dir", state.path(),
                                      "--name", preload(state).at("EVENKEEL_NAME"), "--json"});
  ASSERT_EQ(status.ending.status, 0) << status.err;
  EXPECT_EQ(nlohmann::json::parse(status.out).at("replicas_live"), 2);
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), (Ending{.status = 0}));
}

TEST_F(Lifecycle, PreloadedLibraryIsEnough) {
  expect_served_by_two({});
  expect_nothing_left();
}

TEST_F(Lifecycle, WrappersPassUntouched) {
  expect_served_by_two({"env", "WRAPPED=1"});
  expect_served_by_two({"sh", "-c", "exec \"$@\"", "sh"});
  expect_nothing_left();
}

}  // namespace
}  // namespace evenkeel::test
