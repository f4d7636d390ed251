#include "runtime/host/source_lines.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/host/code_map.h"
#include "runtime/host/symbols.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

[[gnu::always_inline]] inline void* where_i_am() {
  void* address;
  asm volatile("lea 0(%%rip), %0" : "=r"(address));
  return address;
}

[[gnu::noinline]] void* in_an_inlined_function() {
  void* address = where_i_am();
  asm volatile("" : : "r"(address) : "memory");
  return address;
}
constexpr uint32_t kCallLine = __LINE__ - 4;

record::Frame frame_of(void* address) {
  CodeMap code;
  code.read(::getpid());
  // What the instruction gives is the address behind it.
  return code.frame_of(reinterpret_cast<uint64_t>(address), true);
}

TEST(SourceLines, TellInlinedFunctionsAndTheirCallers) {
  record::Frame frame = frame_of(in_an_inlined_function());
  SourceLines().resolve(frame);
  ASSERT_EQ(frame.locations_size(), 2) << frame.DebugString();
  EXPECT_NE(frame.locations(0).function().find("where_i_am"), std::string::npos);
  EXPECT_NE(frame.locations(1).function().find("in_an_inlined_function"), std::string::npos);
  EXPECT_TRUE(frame.locations(0).file().ends_with("tests/host/source_lines_test.cc"));
  EXPECT_TRUE(std::filesystem::path(frame.locations(0).file()).is_absolute());
  EXPECT_EQ(frame.locations(1).line(), kCallLine);
  const std::string text = frame_text(frame, frame.locations(1));
  EXPECT_TRUE(text.ends_with("source_lines_test.cc:" + std::to_string(kCallLine))) << text;
}

TEST(SourceLines, OfAnotherBuildAreNotGuessed) {
  record::Frame frame = frame_of(in_an_inlined_function());
  frame.set_build_id("00112233");
  SourceLines().resolve(frame);
  EXPECT_EQ(frame.locations_size(), 0);
  EXPECT_NE(frame_text(frame).find("in_an_inlined_function"), std::string::npos);
}

TEST(SourceLines, WithoutSymbolsTheCommandToAskIsShown) {
  record::Frame frame;
  frame.set_address(0x401188);
  frame.set_module("/usr/bin/store");
  frame.set_module_offset(0x1188);
  frame.set_module_address(0x401188);
  SourceLines().resolve(frame);
  EXPECT_EQ(frame_text(frame), "store+0x1188  [addr2line -Cfie /usr/bin/store 0x401188]");
  frame.Clear();
  frame.set_address(0x10);
  SourceLines().resolve(frame);
  EXPECT_EQ(frame_text(frame), "0x10");
}

// A stripped copy whose debug file lies beside it, as packages have it below /usr/lib/debug.
TEST(SourceLines, ComeFromSeparateDebugFiles) {
  const test::TemporaryDirectory directory;
  const std::string stripped = (directory.path() / "stripped").string();
  const std::string debug = (directory.path() / "stripped.debug").string();
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto run = [](const std::string& command) { return std::system(command.c_str()); };
  ASSERT_EQ(run("objcopy --strip-all '" + self + "' '" + stripped + "'"), 0);
  record::Frame frame = frame_of(in_an_inlined_function());
  frame.set_module(stripped);
  SourceLines().resolve(frame);
  EXPECT_EQ(frame.locations_size(), 0) << "stripped, and nothing beside it";
  ASSERT_EQ(run("objcopy --only-keep-debug '" + self + "' '" + debug + "'"), 0);
  ASSERT_EQ(run("objcopy --add-gnu-debuglink='" + debug + "' '" + stripped + "'"), 0);
  SourceLines().resolve(frame);
  ASSERT_EQ(frame.locations_size(), 2);
  EXPECT_EQ(frame.locations(1).line(), kCallLine);
}

TEST(SourceLines, ADebugServerThatDoesNotAnswerCostsNothing) {
  ::setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1/", 1);
  CodeMap code;
  code.read(::getpid());
  record::Frame frame = code.frame_of(reinterpret_cast<uint64_t>(&::getpid), false);
  SourceLines().resolve(frame);
  ::unsetenv("DEBUGINFOD_URLS");
  EXPECT_NE(frame_text(frame).find("getpid"), std::string::npos) << frame_text(frame);
}

}  // namespace
}  // namespace evenkeel::host
