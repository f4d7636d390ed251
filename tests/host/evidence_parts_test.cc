// The parts that Evidence is made of: output streams, symbols, names of system calls.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "runtime/host/code_map.h"
#include "runtime/host/output_streams.h"
#include "runtime/host/report.h"
#include "runtime/host/symbols.h"
#include "runtime/host/syscall_names.h"

namespace evenkeel::host {
namespace {

[[gnu::noinline]] int a_function_to_find(int x) { return x * 3 + ::getpid(); }

std::vector<uint8_t> area(std::initializer_list<std::pair<wire::Channel, const char*>> records) {
  std::vector<uint8_t> bytes;
  for (const auto& [channel, text] : records) {
    const auto length = static_cast<uint32_t>(std::strlen(text));
    const wire::OutputRecord record{wire::OutputKind::kData, length, channel};
    const auto* head = reinterpret_cast<const uint8_t*>(&record);
    bytes.insert(bytes.end(), head, head + sizeof record);
    bytes.insert(bytes.end(), text, text + length);
    bytes.resize((bytes.size() + 7) & ~size_t{7});
  }
  return bytes;
}

TEST(OutputStreams, JoinWhatAChannelWasGiven) {
  const auto bytes = area({{1, "one "}, {2, "else"}, {1, "two"}});
  const OutputStreams streams = split_outputs(bytes.data(), bytes.size());
  EXPECT_EQ(streams.at(1), "one two");
  EXPECT_EQ(streams.at(2), "else");
}

TEST(OutputStreams, StopAtARecordThatDoesNotFit) {
  const auto bytes = area({{1, "fits"}, {2, "this one is cut"}});
  const OutputStreams streams = split_outputs(bytes.data(), bytes.size() - 8);
  EXPECT_EQ(streams.at(1), "fits");
  EXPECT_EQ(streams.count(2), 0U);
}

TEST(OutputStreams, FirstDifferenceIsAmongAll) {
  EXPECT_EQ(first_difference({{0, "same"}, {1, "same"}}), SIZE_MAX);
  EXPECT_EQ(first_difference({{0, "abcd"}, {1, "abcd"}, {2, "abXd"}}), 2U);
  EXPECT_EQ(first_difference({{0, "abc"}, {1, "abcd"}}), 3U);
}

TEST(OutputStreams, PrintableKeepsOneLine) {
  const uint8_t bytes[] = {'a', '\r', '\n', 0, '\\', 0xff};
  EXPECT_EQ(printable(bytes, sizeof bytes), "a\\r\\n\\x00\\x5c\\xff");
}

TEST(CodeMap, NamesCodeOfARunningProcess) {
  const auto address = reinterpret_cast<uint64_t>(&a_function_to_find);
  CodeMap code;
  code.read(::getpid());
  const std::string name = code_text(code.frame_of(address + 1, false));
  EXPECT_NE(name.find("a_function_to_find(int)+0x1"), std::string::npos) << name;
  const record::Frame call = code.frame_of(address + 1, true);
  EXPECT_EQ(call.symbol_offset(), 0U);
  EXPECT_EQ(call.address(), address + 1);
  EXPECT_EQ(code_text(code.frame_of(0x10, false)), "0x10");
}

TEST(Symbols, AreUnknownWithoutAFile) {
  EXPECT_FALSE(find_symbol("/no/such/file", 0, true).has_value());
  EXPECT_FALSE(find_symbol("/etc/passwd", 0, true).has_value());
}

TEST(SyscallNames, ComeFromTheKernelsHeader) {
  EXPECT_EQ(syscall_name(0), "read");
  EXPECT_EQ(syscall_name(257), "openat");
  EXPECT_EQ(syscall_name(511), "syscall_511");
}

}  // namespace
}  // namespace evenkeel::host
