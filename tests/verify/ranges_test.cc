#include "verify/ranges.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace evenkeel::test {
namespace {

using verify::Ranges;

Range pages(uint64_t first, uint64_t count) { return {first * kPageBytes, count * kPageBytes}; }

class RangesTest : public testing::Test {
 protected:
  RangesTest() { ranges_->clear(1000); }
  uint64_t position(uint64_t page) { return ranges_->position(page * kPageBytes); }

  std::unique_ptr<Ranges> ranges_ = std::make_unique<Ranges>();
};

TEST_F(RangesTest, PositionsFollowTheOrderOfAdding) {
  ASSERT_TRUE(ranges_->add(pages(500, 10)).ok());
  ASSERT_TRUE(ranges_->add(pages(100, 10)).ok());
  ASSERT_TRUE(ranges_->add(pages(300, 10)).ok());
  EXPECT_EQ(position(500), 0U);
  EXPECT_EQ(position(509), 9U);
  EXPECT_EQ(position(100), 10U);
  EXPECT_EQ(position(305), 25U);
  for (const uint64_t page : {99, 110, 299, 310, 499, 510}) {
    EXPECT_EQ(position(page), Ranges::kNowhere) << page;
  }
}

TEST_F(RangesTest, RemovedPositionsAreNotReused) {
  ASSERT_TRUE(ranges_->add(pages(100, 10)).ok());
  ASSERT_TRUE(ranges_->remove(pages(100, 10)).ok());
  EXPECT_EQ(position(100), Ranges::kNowhere);
  ASSERT_TRUE(ranges_->add(pages(100, 10)).ok());
  EXPECT_EQ(position(100), 10U);
}

TEST_F(RangesTest, RefusesOverlapsAndFragments) {
  ASSERT_TRUE(ranges_->add(pages(100, 10)).ok());
  EXPECT_EQ(ranges_->add(pages(109, 10)).err(), EEXIST);
  EXPECT_EQ(ranges_->add(pages(91, 10)).err(), EEXIST);
  EXPECT_EQ(ranges_->add(pages(102, 2)).err(), EEXIST);
  EXPECT_EQ(ranges_->add(pages(50, 100)).err(), EEXIST);
  EXPECT_TRUE(ranges_->add(pages(110, 5)).ok());
  EXPECT_TRUE(ranges_->add(pages(95, 5)).ok());
  EXPECT_EQ(ranges_->add({100, 4096}).err(), EINVAL);
  EXPECT_EQ(ranges_->add({8192, 0}).err(), EINVAL);
  EXPECT_EQ(ranges_->remove(pages(100, 9)).err(), ENOENT);
  EXPECT_EQ(ranges_->remove(pages(101, 9)).err(), ENOENT);
}

TEST_F(RangesTest, FullAtTheBounds) {
  EXPECT_EQ(ranges_->add(pages(0, 1001)).err(), ENOSPC);
  ASSERT_TRUE(ranges_->add(pages(0, 999)).ok());
  EXPECT_EQ(ranges_->add(pages(5000, 2)).err(), ENOSPC);
  EXPECT_TRUE(ranges_->add(pages(5000, 1)).ok());
  ranges_->clear(UINT64_MAX / 2);
  for (uint64_t i = 0; i < verify::kMaxRanges; ++i) ASSERT_TRUE(ranges_->add(pages(2 * i, 1)).ok());
  EXPECT_EQ(ranges_->add(pages(1, 1)).err(), ENOSPC);
}

}  // namespace
}  // namespace evenkeel::test
