#include "runtime/host/server_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/host/refusal.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

int status_of(const std::function<void()>& request) {
  try {
    request();
  } catch (const Refusal& refused) {
    return refused.status();
  }
  return 0;
}

class ServerFile : public ::testing::Test {
 protected:
  fs::path make(const std::string& name, const std::string& text, bool executable = true) {
    const fs::path path = directory_.path() / name;
    std::ofstream(path) << text;
    fs::permissions(path, executable ? fs::perms::owner_all : fs::perms::owner_read);
    return path;
  }
  // A real program with some bytes of its header changed.
  fs::path patched(const std::string& name, size_t offset, char value) {
    std::string program = test::read_file(EVENKEEL_TEST_SERVER);
    program[offset] = value;
    return make(name, program);
  }
  static int check(const fs::path& path) {
    return status_of([&] { check_server(path.string()); });
  }
  test::TemporaryDirectory directory_;
};

TEST_F(ServerFile, IsFoundInPath) {
  EXPECT_EQ(find_server("sh").substr(find_server("sh").rfind('/')), "/sh");
  EXPECT_EQ(find_server(EVENKEEL_TEST_SERVER), EVENKEEL_TEST_SERVER);
}

TEST_F(ServerFile, MissingIs127AndUnusable126) {
  EXPECT_EQ(status_of([] { static_cast<void>(find_server("no-such-server")); }), 127);
  EXPECT_EQ(status_of([] { static_cast<void>(find_server("/no/such/server")); }), 127);
  const std::string plain = make("plain", "text", false).string();
  EXPECT_EQ(status_of([&] { static_cast<void>(find_server(plain)); }), 126);
  EXPECT_EQ(status_of([&] { static_cast<void>(find_server(directory_.path())); }), 126);
}

TEST_F(ServerFile, DynamicProgramsAndScriptsPass) {
  EXPECT_EQ(check(EVENKEEL_TEST_SERVER), 0);
  EXPECT_EQ(check(make("script", "#!/bin/sh\n")), 0);
}

TEST_F(ServerFile, WhatPreloadingCannotReachIsRefused) {
  EXPECT_EQ(check(make("text", "neither")), 126);
  EXPECT_EQ(check(patched("class32", 4, 1)), 2);    // EI_CLASS
  EXPECT_EQ(check(patched("arm", 18, '\xb7')), 2);  // e_machine, AArch64
  EXPECT_EQ(check(patched("static", 56, 0)), 2);    // e_phnum: no segments, no interpreter
  const fs::path setuid = make("setuid", test::read_file(EVENKEEL_TEST_SERVER));
  ASSERT_EQ(::chmod(setuid.c_str(), 04755), 0);
  EXPECT_EQ(check(setuid), 2);
}

TEST_F(ServerFile, TheLibraryCanBeNamed) {
  ::setenv("EVENKEEL_LIBRARY", EVENKEEL_TEST_LIBRARY, 1);
  EXPECT_EQ(find_library(), fs::canonical(EVENKEEL_TEST_LIBRARY).string());
  ::setenv("EVENKEEL_LIBRARY", "/no/such/library.so", 1);
  EXPECT_EQ(status_of([] { static_cast<void>(find_library()); }), 2);
  ::unsetenv("EVENKEEL_LIBRARY");
}

TEST_F(ServerFile, RefusalsLeaveNothingBehind) {
  const std::string state = (directory_.path() / "state").string();
  const std::string text = make("text", "neither").string();
  EXPECT_EQ(test::evenkeel({"run", "--state-dir", state, "--", text}).status, 126);
  EXPECT_FALSE(fs::exists(state));
}

}  // namespace
}  // namespace evenkeel::host
