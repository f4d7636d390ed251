#include "runtime/host/state_dir.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "runtime/host/refusal.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

Options options_in(const std::filesystem::path& directory, const std::string& name) {
  Options options;
  options.state_dir = directory.string();
  options.name = name;
  return options;
}

std::string refusal(const std::function<void()>& request) {
  try {
    request();
  } catch (const Refusal& refused) {
    return refused.what();
  }
  return {};
}

TEST(StateDir, ANameIsTakenOnceAtATime) {
  const test::TemporaryDirectory directory;
  const Options options = options_in(directory.path(), "one");
  {
    const StateDir first = StateDir::create(options);
    const std::string why = refusal([&] { StateDir::create(options); });
    EXPECT_NE(why.find("named one is running already"), std::string::npos);
    EXPECT_EQ(refusal([&] { StateDir::create(options_in(directory.path(), "two")); }), "");
  }
  EXPECT_EQ(refusal([&] { StateDir::create(options); }), "");
}

TEST(StateDir, ASecondRunOfOneNameIsRefused) {
  test::ServerRun run;
  ASSERT_NE(run.port(), 0);
  const auto second = test::evenkeel({"run", "--state-dir", run.state_dir().string(), "--name",
                                      "fake", "--", EVENKEEL_TEST_SERVER});
  EXPECT_EQ(second.status, 2);
  EXPECT_NE(second.errors.find("running already"), std::string::npos);
}

TEST(StateDir, AnUnusableDirectoryIsRefused) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() / "file";
  std::ofstream(file) << "in the way";
  EXPECT_NE(refusal([&] { StateDir::create(options_in(file, "x")); }).find("cannot be written"),
            std::string::npos);
}

TEST(StateDir, TheOnlyRunNeedsNoName) {
  const test::TemporaryDirectory directory;
  EXPECT_NE(refusal([&] { StateDir::find(options_in(directory.path(), "")); }), "");
  StateDir::create(options_in(directory.path(), "only"));
  EXPECT_EQ(StateDir::find(options_in(directory.path(), "")).name(), "only");
  StateDir::create(options_in(directory.path(), "another"));
  EXPECT_NE(refusal([&] { StateDir::find(options_in(directory.path(), "")); }), "");
  EXPECT_EQ(StateDir::find(options_in(directory.path(), "only")).name(), "only");
}

TEST(StateDir, TheAdminSocketFitsHoweverLongThePath) {
  const test::TemporaryDirectory directory;
  const auto deep = directory.path() / std::string(100, 'd') / std::string(100, 'e');
  test::ServerRun run({}, {}, &deep);
  ASSERT_NE(run.port(), 0);
  EXPECT_EQ(run.status()["replicas"], 2);
}

TEST(StateDir, DefaultsFollowXdg) {
  ::setenv("XDG_STATE_HOME", "/elsewhere", 1);
  EXPECT_EQ(default_state_dir(), "/elsewhere/evenkeel");
  ::unsetenv("XDG_STATE_HOME");
  EXPECT_TRUE(default_state_dir().ends_with("/evenkeel"));
}

TEST(StateDir, StatusOfAServerThatEndedSaysSo) {
  const test::TemporaryDirectory directory;
  StateDir::create(options_in(directory.path(), "gone"));
  const auto asked =
      test::evenkeel({"status", "--state-dir", directory.path().string(), "--name", "gone"});
  EXPECT_EQ(asked.status, 1);
  EXPECT_NE(asked.errors.find("gone is not running"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::host
