#include "snapshot/region.h"

#include <sys/stat.h>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using namespace snapshot;

class RegionTest : public testing::Test {
 protected:
  RegionTest() { EXPECT_TRUE(map_arenas(-1).ok()); }
  ~RegionTest() override { unmap_arenas(); }
};

Range pages(uint64_t first, uint64_t count) { return {first * kPageBytes, count * kPageBytes}; }

TEST_F(RegionTest, LookupFindsTheRegionOrNothing) {
  for (const uint64_t first : {300, 100, 200}) {
    ASSERT_TRUE(insert_region(pages(first, 10), Kind::kTracked, false).ok());
  }
  ASSERT_EQ(region_count(), 3U);
  for (const uint64_t first : {100, 200, 300}) {
    for (const uint64_t page : {first, first + 9}) {
      Region* region = find_region(page * kPageBytes + 17);
      ASSERT_NE(region, nullptr);
      EXPECT_EQ(region->range.begin, first * kPageBytes);
    }
    EXPECT_EQ(find_region((first - 1) * kPageBytes), nullptr);
    EXPECT_EQ(find_region((first + 10) * kPageBytes), nullptr);
  }
  erase_region(pages(200, 10));
  EXPECT_EQ(find_region(205 * kPageBytes), nullptr);
  EXPECT_NE(find_region(305 * kPageBytes), nullptr);
}

TEST_F(RegionTest, ImagesFollowTheOrderOfAdding) {
  ASSERT_TRUE(insert_region(pages(300, 10), Kind::kHashed, true).ok());
  ASSERT_TRUE(insert_region(pages(100, 5), Kind::kTracked, false).ok());
  ASSERT_TRUE(insert_region(pages(200, 10), Kind::kHashed, true).ok());
  const auto image = [](uint64_t page) {
    return reinterpret_cast<uint64_t>(find_region(page * kPageBytes)->image_at(page * kPageBytes));
  };
  EXPECT_EQ(image(300), kImageArena.begin);
  EXPECT_EQ(image(200), kImageArena.begin + 10 * kPageBytes);
  EXPECT_EQ(image(100), kImageArena.begin + kSharedImageBytes);
  erase_region(pages(300, 10));
  ASSERT_TRUE(insert_region(pages(300, 10), Kind::kHashed, true).ok());
  EXPECT_EQ(image(300), kImageArena.begin + 20 * kPageBytes) << "offsets are never used twice";
}

TEST_F(RegionTest, RefusesBeyondItsBounds) {
  EXPECT_EQ(insert_region({0, kSharedImageBytes + kPageBytes}, Kind::kHashed, true).err(), ENOSPC);
  for (uint64_t i = 0; i < kMaxRegions; ++i) {
    ASSERT_TRUE(insert_region(pages(2 * i + 1, 1), Kind::kHashed, true).ok()) << i;
  }
  EXPECT_EQ(insert_region(pages(1 << 20, 1), Kind::kHashed, true).err(), ENOSPC);
  for (uint64_t i = 0; i < kMaxRegions; ++i) erase_region(pages(2 * i + 1, 1));
  EXPECT_EQ(region_count(), 0U);
}

TEST_F(RegionTest, CursorFollowsAnyOrder) {
  ASSERT_TRUE(insert_region(pages(100, 10), Kind::kTracked, false).ok());
  ASSERT_TRUE(insert_region(pages(200, 10), Kind::kTracked, false).ok());
  RegionCursor cursor;
  for (const uint64_t page : {100, 205, 109, 200}) {
    ASSERT_NE(cursor.at(page * kPageBytes), nullptr);
    EXPECT_TRUE(cursor.at(page * kPageBytes)->range.contains(page * kPageBytes));
  }
  EXPECT_EQ(cursor.at(150 * kPageBytes), nullptr);
}

TEST(RegionFile, IsSizedOnceAndNeverShrunk) {
  const int fd = make_image_file();
  ASSERT_EQ(ftruncate(fd, static_cast<off_t>(kSharedImageBytes + kGiB)), 0);
  ASSERT_TRUE(map_arenas(fd).ok());
  struct stat status = {};
  ASSERT_EQ(fstat(fd, &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), kSharedImageBytes + kGiB);
  EXPECT_EQ(status.st_blocks, 0);
  unmap_arenas();
  close(fd);
}

}  // namespace
}  // namespace evenkeel::test
