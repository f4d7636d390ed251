#include "runtime/host/mixer/learner.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace evenkeel::host {
namespace {

using Pairs = std::vector<Conflicts::Pair>;

class LearnerTest : public ::testing::Test {
 protected:
  // Texts must be literals.
  Deed& add(const char* text, std::vector<uint64_t> pages = {}, bool struck = true) {
    Deed deed;
    deed.channel = ++channels_;
    deed.phrases = phrases_of(text, kMaxDeedPhrases);
    deed.pages = std::move(pages);
    deed.struck = struck;
    deeds_.push_back(std::move(deed));
    return deeds_.back();
  }
  Pairs learn() { return conflicts_of(deeds_); }

  std::vector<Deed> deeds_;
  uint64_t channels_ = 0;
};

Conflicts::Pair words(const char* one, uint32_t i, const char* other, uint32_t k) {
  return Conflicts::pair_of({one, i}, {other, k});
}

TEST_F(LearnerTest, TheWordThatIsSeldomSharedExplains) {
  add("incr a 1\r\n");
  add("incr a 1\r\n");
  add("incr b 1\r\n", {}, false);
  add("incr c 1\r\n", {}, false);
  EXPECT_EQ(learn(), (Pairs{words("incr", 1, "incr", 1)}));
}

TEST_F(LearnerTest, OfEquallySeldomOnesTheFirst) {
  add("incr a 1\r\n");
  add("incr a 1\r\n");
  EXPECT_EQ(learn(), (Pairs{words("incr", 1, "incr", 1)}));
}

TEST_F(LearnerTest, WordsOfDifferentKindsAndPlaces) {
  add("move a b\r\n");
  add("look b\r\n");
  add("look c\r\n", {}, false);
  EXPECT_EQ(learn(), (Pairs{words("move", 2, "look", 1)}));
}

TEST_F(LearnerTest, AReaderIsStruckAlone) {
  add("get a\r\n");
  add("get a\r\n", {}, false);
  add("set a 0 0 1\r\nx\r\n", {}, false);
  add("set b 0 0 1\r\ny\r\n", {}, false);
  EXPECT_EQ(learn(), (Pairs{words("get", 1, "set", 1)}));
}

TEST_F(LearnerTest, AWordThatMostShareExplainsNothing) {
  for (const char* text : {"set a 0\r\n", "set b 0\r\n", "set c 0\r\n"}) add(text, {0x1000});
  EXPECT_EQ(learn(), (Pairs{words("set", 0, "set", 0)}));
  add("set c 0\r\n", {0x1000});  // and this one explains enough for now
  EXPECT_EQ(learn(), (Pairs{words("set", 1, "set", 1)}));
}

TEST_F(LearnerTest, WhatNoWordExplainsIsAConflictOfKinds) {
  add("push a\r\n", {0x1000, 0x3000});
  add("pop\r\n", {0x2000, 0x3000});
  add("ping\r\n", {0x4000});  // struck, but it has nothing in common with them
  EXPECT_EQ(learn()[0], words("ping", 0, "pop", 0));  // it must be something
  deeds_.pop_back();
  EXPECT_EQ(learn(), (Pairs{words("pop", 0, "push", 0)}));
}

TEST_F(LearnerTest, WhoRanInAnotherGroupOrOnTheSameConnectionIsInnocent) {
  add("incr a 1\r\n");
  add("incr b 1\r\n").channel = 1;
  add("incr a 1\r\n").group = 1;
  EXPECT_EQ(learn(), Pairs{});
}

TEST_F(LearnerTest, IfNobodyWasStruckAllAreSuspects) {
  add("push a\r\n", {0x1000}, false);
  add("pop\r\n", {0x1000}, false);
  add("ping\r\n", {0x2000}, false);
  const Pairs pairs = learn();
  EXPECT_NE(std::find(pairs.begin(), pairs.end(), words("pop", 0, "push", 0)), pairs.end());
}

TEST_F(LearnerTest, APipelineConflictsByTheRequestThatExplainsIt) {
  add("get x\r\nincr a 1\r\n");
  add("incr a 1\r\nget y\r\n");
  add("incr b 1\r\n", {}, false);
  EXPECT_EQ(learn(), (Pairs{words("incr", 1, "incr", 1)}));
}

// What is kept apart already did not run together: so the next divergence teaches something else.
TEST_F(LearnerTest, WhereAWordIsNoExplanationTheKindsAreNext) {
  add("push a\r\n", {0x1000});
  add("push a\r\n", {0x1000});
  EXPECT_EQ(learn(), (Pairs{words("push", 1, "push", 1)}));
  deeds_[1].group = 1;
  add("push b\r\n", {0x1000});
  EXPECT_EQ(learn(), (Pairs{words("push", 0, "push", 0)}));
}

}  // namespace
}  // namespace evenkeel::host
