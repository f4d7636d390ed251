// What the user gets when something is wrong, before any server serves.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

Finished run(const Words& options, const Words& command) {
  Words words{evenkeel_path(), "run"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return run_to_end(words);
}

// Refused before the server starts: a message on stderr, nothing on stdout.
void expect_refused(const Finished& finished, std::initializer_list<int> statuses,
                    const std::string& mentioned) {
  EXPECT_NE(std::find(statuses.begin(), statuses.end(), finished.ending.status), statuses.end())
      << "status " << finished.ending.status << " signal " << finished.ending.signal << "\n"
      << finished.err;
  EXPECT_NE(finished.err.find(mentioned), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out, "");
}

class Cli : public testing::Test {
 protected:
  Words state() const { return {"--state-dir", directory_.path()}; }
  std::filesystem::path file(const char* name, const std::string& text, mode_t mode) const {
    const std::filesystem::path path = directory_.path() / name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  TemporaryDirectory directory_;
};

TEST_F(Cli, MissingServer) {
  expect_refused(run(state(), {"/nonexistent/server"}), {127}, "/nonexistent/server");
  expect_refused(run(state(), {"no-such-server-in-path"}), {127}, "no-such-server-in-path");
}

TEST_F(Cli, ServerThatIsNotExecutable) {
  const auto path = file("plain", "not a program\n", 0644);
  expect_refused(run(state(), {path}), {126, 127, 2}, path);
}

TEST_F(Cli, StaticServer) {
  const std::string path = EVENKEEL_BIN_DIR "/e2e_static_server";
  EXPECT_EQ(run_to_end({path}).ending, (Ending{.status = 0}));
  expect_refused(run(state(), {path}), {127, 2}, "static");
}

TEST_F(Cli, SetuidServer) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to make a file that belongs to somebody else";
  constexpr uid_t kNobody = 65534;
  const auto path = directory_.path() / "setuid";
  std::filesystem::copy_file(kvstore_path(), path);
  ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chmod(path.c_str(), 04755), 0);
  expect_refused(run(state(), {path, "--help"}), {127, 2}, "set");
}

TEST_F(Cli, MalformedOptions) {
  const Words server = {"memcached", "-V"};
  expect_refused(run({"--replicas", "0"}, server), {2}, "replicas");
  expect_refused(run({"--replicas", "many"}, server), {2}, "replicas");
  expect_refused(run({"--replicas", "1000"}, server), {2}, "replicas");
  expect_refused(run({"--order", "alphabetical"}, server), {2}, "order");
  expect_refused(run({"--follower", "nobody"}, server), {2}, "follower");
  expect_refused(run({"--mode", "turbo"}, server), {2}, "mode");
  expect_refused(run({"--tracker", "dog"}, server), {2}, "tracker");
  expect_refused(run({"--no-such-option"}, server), {2}, "no-such-option");
  expect_refused(run({}, {}), {2}, "");
}

TEST_F(Cli, MalformedEnvironment) {
  const Finished finished =
      run_to_end({evenkeel_path(), "run", "--", "memcached", "-V"}, {{"EVENKEEL_REPLICAS", "x"}});
  expect_refused(finished, {2}, "replicas");
}

TEST_F(Cli, UnwritableStateDirectory) {
  const auto path = file("file", "in the way\n", 0644);
  expect_refused(run({"--state-dir", path}, {"memcached", "-V"}), {2}, path);
  expect_refused(run({"--state-dir", "/proc/evenkeel"}, {"memcached", "-V"}), {2},
                 "/proc/evenkeel");
}

TEST_F(Cli, TwoRunsOfOneName) {
  Server first = Server::evenkeel({}, memcached_command());
  const Words same{"--state-dir", first.state_dir(), "--name", first.name()};
  expect_refused(run(same, {"memcached", "-V"}), {2}, first.name());
  EXPECT_EQ(run_load(first.port(), {"--requests", "100", "--keys", "5"}).status, 0);
  EXPECT_EQ(first.stop(), (Ending{.status = 0}));
}

TEST_F(Cli, StatusOfNobody) {
  const Finished finished =
      run_to_end({evenkeel_path(), "status", "--state-dir", directory_.path(), "--name", "nobody"});
  EXPECT_NE(finished.ending.status, 0);
  EXPECT_NE(finished.err.find("nobody"), std::string::npos) << finished.err;
}

TEST_F(Cli, StatusNamesItsKeys) {
  const Server server = Server::evenkeel({}, memcached_command());
  const auto status = server.status();
  for (const char* key : {"replicas", "replicas_live", "batches", "requests", "divergences",
                          "rollbacks", "reexecutions", "leaks", "faults", "dirty_pages"}) {
    EXPECT_TRUE(status.contains(key) && status[key].is_number()) << key << " in " << status;
  }
  EXPECT_TRUE(status.contains("unhandled_calls") && status["unhandled_calls"].is_object());
  EXPECT_EQ(status["replicas"], 2);
}

TEST_F(Cli, HelpAndVersion) {
  const Finished help = run_to_end({evenkeel_path(), "--help"});
  EXPECT_EQ(help.ending, (Ending{.status = 0}));
  for (const char* word : {"run", "status", "report", "doctor"}) {
    EXPECT_NE(help.out.find(word), std::string::npos) << help.out;
  }
  EXPECT_EQ(run_to_end({evenkeel_path(), "--version"}).ending, (Ending{.status = 0}));
}

TEST_F(Cli, Doctor) {
  const Finished doctor = run_to_end({evenkeel_path(), "doctor"});
  EXPECT_NE(doctor.out.find("userfaultfd"), std::string::npos) << doctor.out;
}

TEST_F(Cli, ReportListOfACalmRun) {
  const Server server = Server::evenkeel({}, memcached_command());
  const Finished list = run_to_end({evenkeel_path(), "report", "list", "--state-dir",
                                    server.state_dir(), "--name", server.name()});
  EXPECT_EQ(list.ending, (Ending{.status = 0})) << list.err;
  EXPECT_EQ(list.out.find("DIVERGENCE"), std::string::npos) << list.out;
}

}  // namespace
}  // namespace evenkeel::test
