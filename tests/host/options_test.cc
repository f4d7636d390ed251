#include "runtime/host/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "runtime/host/command_line.h"
#include "runtime/host/refusal.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

CommandLine parse(std::vector<const char*> words) {
  words.insert(words.begin(), "evenkeel");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

// Of a request that must be refused: what it says.
std::string refusal(const std::vector<const char*>& words) {
  try {
    static_cast<void>(parse(words));
  } catch (const Refusal& refused) {
    EXPECT_EQ(refused.status(), 2);
    EXPECT_FALSE(refused.next_step().empty());
    return refused.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

TEST(Options, DefaultsAreTheDocumentedOnes) {
  const CommandLine line = parse({"run", "--", "memcached", "-t", "4"});
  EXPECT_EQ(line.command, "run");
  EXPECT_EQ(line.server, (std::vector<std::string>{"memcached", "-t", "4"}));
  EXPECT_EQ(line.options.replicas, 2U);
  EXPECT_EQ(line.options.order, wire::Order::kRecorded);
  EXPECT_EQ(line.options.mode, wire::Mode::kParallel);
  EXPECT_FALSE(line.options.follower.has_value());
}

TEST(Options, EveryOptionIsTakenFromTheCommandLine) {
  const auto o = parse({"run",
                        "--replicas",
                        "3",
                        "--order=independent",
                        "--follower",
                        "parallel",
                        "--mode",
                        "sequential",
                        "--tracker",
                        "mprotect",
                        "--on-poison",
                        "crash",
                        "--state-dir",
                        "/x",
                        "--name",
                        "n",
                        "--hang-timeout",
                        "9",
                        "--carriers",
                        "5",
                        "--force-mismatch",
                        "7",
                        "--",
                        "s"})
                     .options;
  EXPECT_EQ(o.replicas, 3U);
  EXPECT_EQ(o.order, wire::Order::kIndependent);
  EXPECT_EQ(o.follower, wire::Follower::kParallel);
  EXPECT_EQ(o.mode, wire::Mode::kSequential);
  EXPECT_EQ(o.tracker, wire::Tracker::kMprotect);
  EXPECT_EQ(o.on_poison, Poison::kCrash);
  EXPECT_EQ(o.state_dir, "/x");
  EXPECT_EQ(o.name, "n");
  EXPECT_EQ(o.hang_timeout_s, 9U);
  EXPECT_EQ(o.carriers, 5U);
  EXPECT_EQ(o.force_mismatch, 7U);
}

TEST(Options, TheEnvironmentStandsInForTheCommandLine) {
  const Environment replicas("EVENKEEL_REPLICAS", "4");
  const Environment tracker("EVENKEEL_TRACKER", "uffd");
  EXPECT_EQ(parse({"run", "--", "s"}).options.replicas, 4U);
  EXPECT_EQ(parse({"run", "--", "s"}).options.tracker, wire::Tracker::kUserfaultfd);
  EXPECT_EQ(parse({"run", "--replicas", "1", "--", "s"}).options.replicas, 1U);
}

TEST(Options, AMalformedEnvironmentIsRefusedToo) {
  const Environment replicas("EVENKEEL_REPLICAS", "many");
  EXPECT_NE(refusal({"run", "--", "s"}).find("'many'"), std::string::npos);
}

TEST(Options, TheServersOptionsAreItsOwn) {
  const CommandLine line = parse({"run", "--", "s", "--replicas", "7", "--", "--help"});
  EXPECT_EQ(line.options.replicas, 2U);
  EXPECT_EQ(line.server.size(), 5U);
}

TEST(Options, MalformedOnesAreRefusedByName) {
  EXPECT_NE(refusal({"run", "--replicas", "0", "--", "s"}).find("--replicas"), std::string::npos);
  EXPECT_NE(refusal({"run", "--replicas", "9", "--", "s"}).find("from 1 to 8"), std::string::npos);
  EXPECT_NE(refusal({"run", "--replicas", "2x", "--", "s"}).find("'2x'"), std::string::npos);
  EXPECT_NE(refusal({"run", "--order", "any", "--", "s"}).find("recorded, independent"),
            std::string::npos);
  EXPECT_NE(refusal({"run", "--name", "../up", "--", "s"}).find("--name"), std::string::npos);
  EXPECT_NE(refusal({"run", "--nonsense", "--", "s"}).find("--nonsense"), std::string::npos);
  EXPECT_NE(refusal({"run"}).find("no server"), std::string::npos);
  EXPECT_NE(refusal({"status", "--", "s"}).find("nothing after --"), std::string::npos);
  refusal({});
  refusal({"walk"});
}

TEST(Options, HelpNamesEveryOptionThatIsNotHidden) {
  const std::string help = test::evenkeel({"run", "--help"}).output;
  for (const OptionRow& row : option_table()) {
    if ((row.commands & kForRun) == 0) continue;
    const bool shown = help.find(row.env()) != std::string::npos;
    EXPECT_EQ(shown, !row.hidden) << row.name;
  }
}

TEST(Options, CompletionAndManualNameEveryOption) {
  const std::string completion = bash_completion();
  const std::string manual = man_page();
  for (const OptionRow& row : option_table()) {
    const std::string flag = std::string("--") + row.name;
    EXPECT_EQ(completion.find(flag) != std::string::npos, !row.hidden) << row.name;
    EXPECT_EQ(manual.find(row.env()) != std::string::npos, !row.hidden) << row.name;
  }
  for (const CommandRow& row : command_table()) {
    EXPECT_NE(completion.find(row.name), std::string::npos);
    EXPECT_NE(manual.find(std::string("evenkeel ") + row.name), std::string::npos);
  }
}

TEST(Options, TheManualPageInTheTreeIsTheGeneratedOne) {
  EXPECT_EQ(test::read_file(EVENKEEL_TEST_MAN_PAGE), man_page())
      << "run: evenkeel man > docs/evenkeel.1";
}

TEST(Options, VersionAndHelpNeedNoCommand) {
  EXPECT_TRUE(parse({"--version"}).text.starts_with("evenkeel "));
  EXPECT_NE(parse({"--help"}).text.find("doctor"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::host
