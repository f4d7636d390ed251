#include "runtime/host/mixer/conflicts.h"

#include <gtest/gtest.h>

namespace evenkeel::host {
namespace {

const auto kSameKey = Conflicts::pair_of({"incr", 1}, {"incr", 1});
const auto kMove = Conflicts::pair_of({"move", 2}, {"incr", 1});
const auto kKinds = Conflicts::pair_of({"set", 0}, {"get", 0});

class ConflictsTest : public ::testing::Test {
 protected:
  // Whether the two requests would be kept apart.
  bool apart(const char* one, const char* other) {
    const std::vector<mixer::Key> a = keys(one);
    for (const mixer::Key& x : a) {
      for (const mixer::Key& y : keys(other)) {
        if (x.id == y.id && mixer::conflict(x.access, y.access)) return true;
      }
    }
    return false;
  }
  std::vector<mixer::Key> keys(const char* line) {
    Requests requests;
    requests.begin("");
    conflicts_.add_keys(phrase_of(line), requests);
    const auto keys = requests.keys();
    return {keys.begin(), keys.end()};
  }
  void pass(uint64_t batches) {
    while (batches-- != 0) conflicts_.next_batch();
  }
  Conflicts conflicts_;
};

TEST_F(ConflictsTest, NothingIsKeptApartBeforeItWasLearnt) {
  EXPECT_FALSE(apart("incr a 1", "incr a 1"));
}

TEST_F(ConflictsTest, ASharedWordKeepsApartThoseWhoShareIt) {
  EXPECT_TRUE(conflicts_.learn(kSameKey));
  EXPECT_FALSE(conflicts_.learn(kSameKey));
  EXPECT_TRUE(apart("incr a 1", "incr a 2"));
  EXPECT_FALSE(apart("incr a 1", "incr b 1"));
  EXPECT_FALSE(apart("incr a 1", "get a"));
  EXPECT_FALSE(apart("incr", "incr"));  // no such word
}

TEST_F(ConflictsTest, TheSidesOfAPairAreNotInConflictWithTheirLike) {
  conflicts_.learn(kMove);
  EXPECT_TRUE(apart("move a b", "incr b 1"));
  EXPECT_FALSE(apart("move a b", "incr a 1"));
  EXPECT_FALSE(apart("incr b 1", "incr b 1"));
  EXPECT_FALSE(apart("move a b", "move c b"));
  conflicts_.learn(kKinds);
  EXPECT_TRUE(apart("set a 1", "get b"));
  EXPECT_FALSE(apart("set a 1", "set a 1"));
}

TEST_F(ConflictsTest, WhatIsNotConfirmedIsForgottenAndLastsTwiceAsLongTheNextTime) {
  conflicts_.learn(kSameKey);
  pass(Conflicts::kFirstLife - 1);
  EXPECT_TRUE(apart("incr a 1", "incr a 1"));
  EXPECT_TRUE(conflicts_.next_batch());
  EXPECT_FALSE(apart("incr a 1", "incr a 1"));
  EXPECT_EQ(conflicts_.count(), 0U);
  EXPECT_TRUE(conflicts_.learn(kSameKey));
  EXPECT_EQ(conflicts_.all().at(kSameKey).confirmed, 2U);
  pass(2 * Conflicts::kFirstLife - 1);
  EXPECT_EQ(conflicts_.count(), 1U);
  pass(1);
  EXPECT_EQ(conflicts_.count(), 0U);
}

TEST_F(ConflictsTest, MemoryIsBounded) {
  for (size_t i = 0; i < 2 * Conflicts::kMost; ++i) {
    conflicts_.learn(Conflicts::pair_of({std::to_string(i), 0}, {std::to_string(i), 0}));
  }
  EXPECT_EQ(conflicts_.all().size(), Conflicts::kMost);
}

}  // namespace
}  // namespace evenkeel::host
