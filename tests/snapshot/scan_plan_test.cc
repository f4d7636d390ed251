#include "snapshot/scan_plan.h"

#include "snapshot/bits.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using namespace snapshot;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kBlockPages = 512;

constinit ScanPlan plan;

class ScanPlanTest : public testing::Test {
 protected:
  ScanPlanTest() {
    EXPECT_TRUE(map_arenas(-1).ok());
    plan.allocate();
  }
  ~ScanPlanTest() override { unmap_arenas(); }

  static Region& add(uint64_t begin, uint64_t bytes) {
    EXPECT_TRUE(insert_region({begin, bytes}, Kind::kHashed, true).ok());
    return *find_region(begin);
  }
  static void fill(Region& region, uint64_t first_block, uint64_t blocks, uint64_t pages_each) {
    for (uint64_t block = first_block; block < first_block + blocks; ++block) {
      for (uint64_t i = 0; i < pages_each; ++i) set_bit(region.has_image, block * kBlockPages + i);
    }
  }
  struct Expected {
    uint64_t begin;
    uint64_t end;
    bool quick;
  };
  static void expect_plan(const std::vector<Expected>& expected) {
    plan.build();
    ASSERT_EQ(static_cast<size_t>(plan.end() - plan.begin()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(plan.begin()[i].begin, expected[i].begin) << i;
      EXPECT_EQ(plan.begin()[i].end, expected[i].end) << i;
      EXPECT_EQ(plan.begin()[i].quick, expected[i].quick) << i;
    }
  }
};

TEST_F(ScanPlanTest, WholeRegionsUntilTold) {
  add(kBase, kTiB);
  expect_plan({{kBase, kBase + kTiB, false}});
}

TEST_F(ScanPlanTest, NeighboursAreJoinedAndFarOnesAreNot) {
  add(kBase, 4 * kMiB);
  add(kBase + 16 * kMiB, 4 * kMiB);
  add(kBase + kGiB, 4 * kMiB);
  expect_plan({{kBase, kBase + 20 * kMiB, false}, {kBase + kGiB, kBase + kGiB + 4 * kMiB, false}});
}

TEST_F(ScanPlanTest, FollowsUsedRanges) {
  Region& region = add(kBase, kTiB);
  const Range used[] = {{kBase + 100, 5 * kMiB}, {kBase + 10 * kGiB, 100}};
  EXPECT_TRUE(set_used(region, used, 2));
  EXPECT_FALSE(set_used(region, used, 2));
  expect_plan({{kBase, kBase + 5 * kMiB + kPageBytes, false},
               {kBase + 10 * kGiB, kBase + 10 * kGiB + kPageBytes, false}});
  EXPECT_TRUE(set_used(region, used, 1));
  expect_plan({{kBase, kBase + 5 * kMiB + kPageBytes, false}});
  EXPECT_TRUE(set_used(region, used, 0));
  expect_plan({});
}

TEST_F(ScanPlanTest, UsedRangesAreClippedAndJoined) {
  Region& region = add(kBase, 100 * kMiB);
  const Range used[] = {{kBase - kMiB, 3 * kMiB},
                        {kBase + kMiB, 2 * kMiB},
                        {kBase + 3 * kMiB, kMiB},
                        {kBase + 99 * kMiB, 5 * kMiB},
                        {kBase + 200 * kMiB, kMiB}};
  set_used(region, used, 5);
  ASSERT_EQ(region.used_count, 2U);
  EXPECT_EQ(region.used[0].begin, kBase);
  EXPECT_EQ(region.used[0].bytes, 4 * kMiB);
  EXPECT_EQ(region.used[1].begin, kBase + 99 * kMiB);
  EXPECT_EQ(region.used[1].bytes, kMiB);
}

TEST_F(ScanPlanTest, TooManyUsedRangesBecomeOne) {
  Region& region = add(kBase, kTiB);
  std::vector<Range> used;
  for (uint64_t i = 0; i < kMaxUsedRanges + 100; ++i) {
    used.push_back({kBase + i * 2 * kPageBytes, kPageBytes});
  }
  set_used(region, used.data(), used.size());
  ASSERT_EQ(region.used_count, kMaxUsedRanges);
  EXPECT_EQ(region.used[kMaxUsedRanges - 1].end(), used.back().end());
}

TEST_F(ScanPlanTest, BlocksWithPagesEnoughForTwoCallsAreQuick) {
  Region& region = add(kBase, kTiB);
  const Range used = {kBase, 100 * kMiB};
  set_used(region, &used, 1);
  fill(region, 10, 1, 32);
  expect_plan({{kBase, kBase + 100 * kMiB, false}});
  fill(region, 10, 1, 33);
  expect_plan({{kBase, kBase + 20 * kMiB, false},
               {kBase + 20 * kMiB, kBase + 22 * kMiB, true},
               {kBase + 22 * kMiB, kBase + 100 * kMiB, false}});
  fill(region, 11, 1, 1);   // joins its neighbour
  fill(region, 13, 1, 10);  // 12 is empty
  fill(region, 15, 2, 10);  // two are enough together
  fill(region, 49, 1, 512);
  expect_plan({{kBase, kBase + 20 * kMiB, false},
               {kBase + 20 * kMiB, kBase + 24 * kMiB, true},
               {kBase + 24 * kMiB, kBase + 30 * kMiB, false},
               {kBase + 30 * kMiB, kBase + 34 * kMiB, true},
               {kBase + 34 * kMiB, kBase + 98 * kMiB, false},
               {kBase + 98 * kMiB, kBase + 100 * kMiB, true}});
}

TEST_F(ScanPlanTest, QuickSpansAreClippedToTheUsedRange) {
  Region& region = add(kBase, kTiB);
  fill(region, 0, 100, 512);
  const Range used = {kBase + kPageBytes, 30 * kMiB};
  set_used(region, &used, 1);
  expect_plan({{kBase + kPageBytes, kBase + 30 * kMiB + kPageBytes, true}});
}

TEST_F(ScanPlanTest, RegionsNeedNotBeAlignedToBlocks) {
  const uint64_t begin = kBase + 3 * kPageBytes;
  Region& region = add(begin, 4 * kMiB);
  EXPECT_EQ(region.blocks(), 3U);
  EXPECT_EQ(region.block_index(region.range.end() - 1), 2U);
  for (uint64_t i = 0; i < 509; ++i) set_bit(region.has_image, i);
  expect_plan({{begin, kBase + 2 * kMiB, true}, {kBase + 2 * kMiB, begin + 4 * kMiB, false}});
}

}  // namespace
}  // namespace evenkeel::test
