// What the preloaded library makes of the process that loads it: nothing, if it is not the server;
// `evenkeel run`, if it is. The coordinator is a stand-in here: what it is given is what matters.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;

constexpr char kLibrary[] = EVENKEEL_LIB_DIR "/libevenkeel.so";
constexpr char kProbe[] = EVENKEEL_BIN_DIR "/shim_mode_probe";

// Says who it is and what it got, one thing a line.
constexpr char kStandIn[] = R"(#!/bin/sh
echo "coordinator $$"
for word in "$@"; do echo "word [$word]"; done
echo "preload [$LD_PRELOAD]"
echo "target [$EVENKEEL_TARGET]"
echo "kept [$KEPT]"
)";

// A library installed in a directory of its own, with or without a coordinator.
class Mode : public testing::Test {
 protected:
  fs::path install(const fs::path& folder) {
    fs::create_directories(root_.path() / folder);
    fs::copy_file(kLibrary, root_.path() / folder / "libevenkeel.so");
    return root_.path() / folder / "libevenkeel.so";
  }
  void install_stand_in() {
    fs::create_directories(root_.path() / "bin");
    const fs::path path = root_.path() / "bin/evenkeel";
    std::ofstream(path) << kStandIn;
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  }
  TemporaryDirectory root_;
};

std::string line(const std::string& kind, const std::string& value) {
  return kind + " [" + value + "]\n";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// ---- not the server

TEST_F(Mode, OtherProgramsBehaveAsWithoutTheLibrary) {
  const Finished native = run_to_end({kProbe, "a b", ""});
  ASSERT_EQ(native.ending, (Ending{.status = 0})) << native.err;
  const Finished passive =
      run_to_end({kProbe, "a b", ""}, {{"LD_PRELOAD", kLibrary}, {"EVENKEEL_TARGET", "another"}});
  EXPECT_EQ(passive.ending, native.ending);
  EXPECT_EQ(passive.err, native.err);
  std::string wanted = native.out;
  const std::string before = "still preloaded: no";
  ASSERT_TRUE(contains(wanted, before));
  wanted.replace(wanted.find(before), before.size(), "still preloaded: yes");
  EXPECT_EQ(passive.out, wanted);
}

TEST_F(Mode, WrappersRunTheirCommandsAndEndWithTheirStatus) {
  install_stand_in();
  const Environment environment{{"LD_PRELOAD", install("lib")}, {"EVENKEEL_TARGET", "another"}};
  const Finished shell =
      run_to_end({"sh", "-c", "echo one | sort; (exit 3); echo $?; exit 5"}, environment);
  EXPECT_EQ(shell.out, "one\n3\n");
  EXPECT_EQ(shell.ending, (Ending{.status = 5})) << shell.err;
  const Finished env = run_to_end({"env", "ADDED=1", "sh", "-c", "echo $ADDED"}, environment);
  EXPECT_EQ(env.out, "1\n") << env.err;
  EXPECT_EQ(run_to_end({"timeout", "60", "true"}, environment).ending, (Ending{.status = 0}));
}

// ---- a replica: every replaced symbol answers as libc's does

TEST_F(Mode, ReplicasBehaveAsWithoutTheLibrary) {
  const Finished native = run_to_end({kProbe, "argument"});
  const Finished replicas =
      run_to_end({evenkeel_path(), "run", "--state-dir", root_.path(), "--", kProbe, "argument"});
  EXPECT_EQ(replicas.ending, native.ending) << replicas.err;
  EXPECT_EQ(replicas.out, native.out);
}

// ---- the server

TEST_F(Mode, ServerBecomesTheCoordinatorInItsOwnProcess) {
  install_stand_in();
  Process process({kProbe, "-x", "a b", "", "line\nbreak"},
                  {{"LD_PRELOAD", install("lib")}, {"KEPT", "yes"}});
  EXPECT_EQ(process.wait(), (Ending{.status = 0})) << process.err();
  const std::string pid = std::to_string(process.pid());
  EXPECT_EQ(process.out(), "coordinator " + pid + "\n" + line("word", "run") + line("word", "--") +
                               line("word", fs::canonical(kProbe)) + line("word", "-x") +
                               line("word", "a b") + line("word", "") +
                               line("word", "line\nbreak") + line("preload", "") +
                               line("target", "") + line("kept", "yes"));
}

TEST_F(Mode, TargetIsReachedThroughWrappers) {
  install_stand_in();
  const Environment environment{{"LD_PRELOAD", install("lib")},
                                {"EVENKEEL_TARGET", "shim_mode_probe"}};
  for (const Words& wrapper :
       {Words{"env", "KEPT=wrapped"}, Words{"timeout", "60"},
        Words{"sh", "-c", "exec \"$@\"", "sh"}, Words{"sh", "-c", "\"$@\"; exit $?", "sh"}}) {
    Words command = wrapper;
    command.insert(command.end(), {kProbe, "argument"});
    const Finished finished = run_to_end(command, environment);
    EXPECT_EQ(finished.ending, (Ending{.status = 0})) << finished.err;
    EXPECT_TRUE(contains(finished.out, line("word", "argument"))) << finished.out;
    EXPECT_FALSE(contains(finished.out, "once")) << "the server ran by itself";
    EXPECT_EQ(finished.out.find("coordinator"), finished.out.rfind("coordinator"));
  }
}

TEST_F(Mode, WithoutATargetTheFirstProgramIsTheServer) {
  install_stand_in();
  const Finished finished = run_to_end({"env", "A=1", kProbe}, {{"LD_PRELOAD", install("lib")}});
  const std::string env = fs::canonical("/usr/bin/env");
  EXPECT_TRUE(contains(finished.out, line("word", "--") + line("word", env))) << finished.out;
  EXPECT_TRUE(contains(finished.out, line("word", kProbe))) << finished.out;
}

TEST_F(Mode, OtherPreloadedLibrariesStay) {
  install_stand_in();
  const std::string other = "libm.so.6";
  const std::string library = install("lib");
  for (const std::string& list :
       {library + ":" + other, other + " " + library, library + ":" + other + ":" + library}) {
    const Finished finished = run_to_end({kProbe}, {{"LD_PRELOAD", list}});
    EXPECT_TRUE(contains(finished.out, line("preload", other))) << list << "\n" << finished.out;
  }
}

TEST_F(Mode, CoordinatorIsFoundFromEveryPlaceOfTheLibrary) {
  install_stand_in();
  for (const char* folder : {"lib", "lib/evenkeel", "lib/x86_64-linux-gnu/evenkeel"}) {
    const Finished finished = run_to_end({kProbe}, {{"LD_PRELOAD", install(folder)}});
    EXPECT_TRUE(contains(finished.out, "coordinator ")) << folder << finished.err;
  }
}

TEST_F(Mode, WithoutACoordinatorTheServerDoesNotStart) {
  const fs::path library = install("lib");
  const Finished finished = run_to_end({kProbe}, {{"LD_PRELOAD", library}});
  EXPECT_EQ(finished.ending, (Ending{.status = 126}));
  EXPECT_EQ(finished.out, "");
  EXPECT_TRUE(contains(finished.err, "cannot find bin/evenkeel beside " + library.string()))
      << finished.err;
}

}  // namespace
}  // namespace evenkeel::test
