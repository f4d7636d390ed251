#include "runtime/core/text.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

namespace evenkeel {
namespace {

TEST(Text, BuildsNumbersOfEverySize) {
  Text<128> text;
  text.add("a").add(0u).add(" ").add(-1).add(" ").add(int64_t{INT64_MIN}).add(" ").add(UINT64_MAX);
  EXPECT_STREQ(text.c_str(), "a0 -1 -9223372036854775808 18446744073709551615");
  EXPECT_EQ(text.size(), std::string(text.c_str()).size());
}

TEST(Text, WritesHexWithPrefix) {
  Text<128> text;
  text.hex(0).add(" ").hex(0x5800'0000'0000).add(" ").hex(UINT64_MAX);
  EXPECT_STREQ(text.c_str(), "0x0 0x580000000000 0xffffffffffffffff");
}

TEST(Text, TakesSmallIntegerTypes) {
  Text<128> text;
  text.add(static_cast<uint8_t>(255)).add(" ").add(static_cast<int8_t>(-128));
  EXPECT_STREQ(text.c_str(), "255 -128");
}

TEST(Text, HoldsExactlyItsRoom) {
  Text<32> text;
  const std::string fits(28, 'x');
  text.add(fits.c_str());
  EXPECT_EQ(text.c_str(), fits);
}

TEST(Text, CutsLongTextAndSaysSo) {
  Text<32> text;
  text.add(std::string(29, 'x').c_str());
  EXPECT_EQ(text.c_str(), std::string(28, 'x') + "...");
  text.add("more").add(123).hex(1);
  EXPECT_EQ(text.c_str(), std::string(28, 'x') + "...");
  EXPECT_EQ(text.size(), 31u);
}

TEST(Text, WritesEverythingThroughAPipeThatFillsUp) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_GT(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
  const std::string data(100000, 'y');
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    write_all(ends[1], data.data(), data.size());
    _exit(0);
  }
  close(ends[1]);
  std::string got;
  char buffer[1000];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    got.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  EXPECT_EQ(got, data);
}

TEST(Text, AFailedWriteEndsAndKeepsErrno) {
  errno = EDOM;
  Text<32> text;
  text.add("nobody reads this").write_to(-1);
  EXPECT_EQ(errno, EDOM);
}

}  // namespace
}  // namespace evenkeel
