// Bytes in a name space to an id.
#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

#include "mixer/mixer.h"

namespace evenkeel::mixer {
namespace {

TEST(Key, DependsOnSpaceAndBytes) {
  const uint64_t items = key_id(kRootSpace, "items");
  const uint64_t users = key_id(kRootSpace, "users");
  EXPECT_NE(items, users);
  EXPECT_NE(key_id(items, "1"), key_id(users, "1"));
  EXPECT_NE(key_id(items, "1"), key_id(items, "2"));
  EXPECT_EQ(key_id(items, "1"), key_id(items, std::string("1")));
}

TEST(Key, MayHaveAnyBytesAndLength) {
  std::unordered_set<uint64_t> ids;
  std::string bytes;
  for (int i = 0; i < 1000; ++i, bytes += '\0') ids.insert(key_id(kRootSpace, bytes));
  EXPECT_EQ(ids.size(), 1000U);
}

// The id is written to files (what was learnt): it may not change with the library.
TEST(Key, IsXxh3) { EXPECT_EQ(key_id(kRootSpace, ""), 0x2d06800538d394c2); }

}  // namespace
}  // namespace evenkeel::mixer
