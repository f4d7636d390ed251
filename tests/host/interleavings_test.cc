#include "runtime/host/interleavings.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace evenkeel::host {
namespace {

using Change = Interleavings::Change;

// Named by one number.
wire::Interleaving suspect(uint64_t site, uint64_t lock = 0x1000) {
  wire::Interleaving result{};
  result.before = {site, 1};
  result.between = {site, 2};
  result.after = {site, 3};
  result.key = wire::interleaving_key(result.before, result.between, result.after);
  result.lock = lock;
  return result;
}

// How many harmless batches in a row it takes.
uint32_t row_of(Interleavings& known, const wire::Interleaving& which) {
  for (uint32_t row = 1; row <= 10000; ++row) {
    if (known.judge(which, true) == Change::kLearnt) return row;
  }
  return 0;
}

TEST(Interleavings, AreLearntAfterARowWithoutHarm) {
  Interleavings known;
  EXPECT_EQ(row_of(known, suspect(1)), Interleavings::kRowOfTrusted);
  EXPECT_EQ(known.learnt(), 1U);
  EXPECT_TRUE(known.find(suspect(1).key)->learnt);
}

TEST(Interleavings, AChangedAnswerEndsTheRowAndConvicts) {
  Interleavings known;
  for (uint32_t i = 1; i < Interleavings::kRowOfTrusted; ++i) known.judge(suspect(1), true);
  EXPECT_EQ(known.judge(suspect(1), false), Change::kNone);
  EXPECT_EQ(row_of(known, suspect(1)), Interleavings::kRowOfConvicted);
}

TEST(Interleavings, AServerWhoseAnswersChangedIsTrustedLess) {
  Interleavings known;
  known.judge(suspect(1), false);
  EXPECT_TRUE(known.answers_changed());
  EXPECT_EQ(row_of(known, suspect(2)), Interleavings::kRow);
}

TEST(Interleavings, AServerWithARecordNeedsLess) {
  Interleavings known;
  for (uint64_t site = 1; site <= Interleavings::kProven; ++site) {
    EXPECT_EQ(row_of(known, suspect(site)), Interleavings::kRowOfTrusted);
  }
  EXPECT_EQ(row_of(known, suspect(100)), Interleavings::kRowOfProven);
  known.judge(suspect(101), false);
  EXPECT_EQ(row_of(known, suspect(102)), Interleavings::kRow);
}

TEST(Interleavings, AtManyLocksABatchProvesLittle) {
  Interleavings known;
  for (uint64_t lock = 1; lock <= Interleavings::kFewLocks + 1; ++lock) {
    known.judge(suspect(1, lock), true);
  }
  EXPECT_EQ(row_of(known, suspect(1)), Interleavings::kRowOfStriped - Interleavings::kFewLocks - 1);
}

TEST(Interleavings, OneThatAlwaysDoesHarmIsNeverLearnt) {
  Interleavings known;
  for (int i = 0; i < 100000; ++i) ASSERT_EQ(known.judge(suspect(1), false), Change::kNone);
  EXPECT_EQ(known.learnt(), 0U);
}

TEST(Interleavings, ALearntOneIsTestedAgainMoreAndMoreSeldom) {
  Interleavings known;
  row_of(known, suspect(1));
  std::vector<uint64_t> audits;
  for (uint64_t sighting = 1; sighting <= 2000; ++sighting) {
    if (!known.sighted(suspect(1).key)) continue;
    audits.push_back(sighting);
    known.judge(suspect(1, 0), true);
  }
  EXPECT_EQ(audits, (std::vector<uint64_t>{64, 256, 1024}));
}

TEST(Interleavings, FailingTheTestUnlearns) {
  Interleavings known;
  row_of(known, suspect(1));
  EXPECT_EQ(known.judge(suspect(1), false), Change::kUnlearnt);
  EXPECT_EQ(known.learnt(), 0U);
  EXPECT_FALSE(known.sighted(suspect(1).key));
  EXPECT_EQ(row_of(known, suspect(1)), 2 * Interleavings::kRowOfConvicted);
}

TEST(Interleavings, ADivergenceUnlearnsAndDoublesTheRow) {
  Interleavings known;
  row_of(known, suspect(1));
  EXPECT_EQ(known.blame(suspect(1).key), Change::kUnlearnt);
  EXPECT_EQ(known.blame(suspect(1).key), Change::kNone);
  EXPECT_EQ(known.blame(suspect(2).key), Change::kNone);
  EXPECT_EQ(row_of(known, suspect(1)), 2 * Interleavings::kRowOfTrusted);
}

TEST(Interleavings, RememberWhatWasRestored) {
  Interleavings known;
  const wire::Interleaving one = suspect(1);
  const wire::Interleaving two = suspect(2);
  known.restore({one.before, one.between, one.after, 0, false, true});
  known.restore({two.before, two.between, two.after, 1, true, false});
  EXPECT_EQ(known.learnt(), 1U);
  EXPECT_TRUE(known.find(one.key)->learnt);
  EXPECT_EQ(row_of(known, two), 2 * Interleavings::kRowOfConvicted);
}

TEST(LearntTable, HoldsItsLimitAndNoMore) {
  auto table = std::make_unique<wire::LearntTable>();
  for (uint64_t key = 1; key <= wire::kMaxLearnt; ++key) {
    ASSERT_TRUE(wire::add_learnt(*table, key * wire::kLearntSlots));  // all want the same slot
  }
  EXPECT_FALSE(wire::add_learnt(*table, 7));
  EXPECT_TRUE(wire::add_learnt(*table, wire::kLearntSlots));  // is there already
  EXPECT_TRUE(wire::is_learnt(*table, uint64_t{wire::kMaxLearnt} * wire::kLearntSlots));
  EXPECT_FALSE(wire::is_learnt(*table, 7));
}

}  // namespace
}  // namespace evenkeel::host
