#include "snapshot/heat.h"

#include <gtest/gtest.h>

#include <memory>

namespace evenkeel::test {
namespace {

using namespace snapshot;

// Batches until the page is promoted when it is dirty in `dirty` of every `period` batches; 0 if
// that never happens.
uint32_t batches_to_promotion(uint32_t dirty, uint32_t period, uint32_t start = 0) {
  const auto heat = std::make_unique<Heat>();
  for (uint32_t i = 0; i < 1000; ++i) {
    if (i % period < dirty && heat->written(0x5000, start + i)) return i + 1;
  }
  return 0;
}

TEST(Heat, PromotesPagesDirtyInMostBatches) {
  EXPECT_EQ(batches_to_promotion(1, 1), kPromoteScore);
  EXPECT_NE(batches_to_promotion(3, 4), 0U);
  EXPECT_NE(batches_to_promotion(2, 3), 0U);
  EXPECT_EQ(batches_to_promotion(1, 2), 0U);
  EXPECT_EQ(batches_to_promotion(1, 10), 0U);
}

TEST(Heat, BatchNumbersMayWrapAround) {
  EXPECT_EQ(batches_to_promotion(1, 1, UINT32_MAX - 5), kPromoteScore);
}

TEST(Heat, StartsAgainAfterPromotion) {
  const auto heat = std::make_unique<Heat>();
  uint32_t batch = 0;
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 1; i < kPromoteScore; ++i) EXPECT_FALSE(heat->written(0x5000, batch++));
    EXPECT_TRUE(heat->written(0x5000, batch++));
  }
}

TEST(Heat, ManyPagesDoNotDisturbEachOtherMuch) {
  // 512 pages in 8192 entries: a few collide, and the loser waits.
  const auto heat = std::make_unique<Heat>();
  uint64_t promoted = 0;
  for (uint32_t batch = 0; batch < kPromoteScore; ++batch) {
    for (uint64_t i = 0; i < 512; ++i) promoted += heat->written(i * kPageBytes, batch) ? 1 : 0;
  }
  EXPECT_GT(promoted, 450U);
}

TEST(HotPages, StaySorted) {
  const auto hot = std::make_unique<HotPages>();
  for (const uint64_t page : {5, 1, 9, 3}) EXPECT_TRUE(hot->insert(page * kPageBytes));
  ASSERT_EQ(hot->size(), 4U);
  EXPECT_EQ(hot->from(0), 0U);
  EXPECT_EQ(hot->from(3 * kPageBytes), 1U);
  EXPECT_EQ(hot->from(4 * kPageBytes), 2U);
  EXPECT_EQ(hot->from(10 * kPageBytes), 4U);
  hot->erase_at(1);
  EXPECT_EQ(hot->at(1).address, 5 * kPageBytes);
  hot->erase({kPageBytes, 5 * kPageBytes});
  ASSERT_EQ(hot->size(), 1U);
  EXPECT_EQ(hot->at(0).address, 9 * kPageBytes);
}

TEST(HotPages, RefuseMoreThanTheBound) {
  const auto hot = std::make_unique<HotPages>();
  for (uint64_t i = 0; i < kMaxHotPages; ++i) ASSERT_TRUE(hot->insert(i * kPageBytes));
  EXPECT_FALSE(hot->insert(kMaxHotPages * kPageBytes));
  EXPECT_EQ(hot->size(), kMaxHotPages);
}

}  // namespace
}  // namespace evenkeel::test
