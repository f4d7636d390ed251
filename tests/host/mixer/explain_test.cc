// evenkeel mixer explain; the tutorial's example is what it prints.
#include "runtime/host/mixer/explain.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/host/mixer/dialects.h"
#include "runtime/host/mixer/rules.h"

namespace evenkeel::host {
namespace {

// What stands between lines of ```.
std::vector<std::string> blocks_of(const std::string& path) {
  std::ifstream input(path);
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(input, line);) {
    if (line == "```") {
      inside = !inside;
      if (inside) blocks.emplace_back();
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

TEST(Explain, TheTutorialIsTrue) {
  const std::vector<std::string> blocks = blocks_of(EVENKEEL_TEST_TUTORIAL);
  ASSERT_EQ(blocks.size(), 5U);  // commands, rules, requests, what they mean, what is learnt
  EXPECT_EQ(explain(*rules_dialect(blocks[1], "mixer.md"), blocks[2]), blocks[3]);
}

TEST(Explain, SaysWhatIsMissing) {
  const auto memcached = memcached_dialect();
  EXPECT_EQ(
      explain(*memcached, "set a 0 0 5\r\nab"),
      "1    set              writes item/a\nrequest 1 is not complete: 5 bytes are missing\n");
  EXPECT_EQ(explain(*memcached, "get\x01"), "the last 4 bytes are no complete request: get\\x01\n");
  EXPECT_EQ(explain(*memcached, ""), "");
}

TEST(Explain, ShowsUnprintableKeys) {
  EXPECT_EQ(explain(*memcached_dialect(), "get a\x02\xff\r\n"),
            "1    get              reads item/a\\x02\\xff\n");
}

}  // namespace
}  // namespace evenkeel::host
