#include "snapshot/page_list.h"

#include "snapshot/region.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;
using snapshot::PageList;

constinit PageList list;

class PageListTest : public testing::Test {
 protected:
  PageListTest() {
    EXPECT_TRUE(snapshot::map_arenas(-1).ok());
    list.allocate();
  }
  ~PageListTest() override { snapshot::unmap_arenas(); }

  static void gather(const std::vector<uint64_t>& pages, bool hot = false) {
    list.begin_collect();
    for (const uint64_t page : pages) list.append(page * kPageBytes, Kind::kHashed, hot);
    list.merge_fresh();
  }
  static std::vector<uint64_t> pages() {
    std::vector<uint64_t> found;
    for (const auto& page : list) found.push_back(page.address / kPageBytes);
    return found;
  }
};
using PageListDeathTest = PageListTest;

TEST_F(PageListTest, MergesWithoutDuplicates) {
  gather({2, 4, 6});
  gather({});
  EXPECT_EQ(pages(), (std::vector<uint64_t>{2, 4, 6}));
  gather({1, 4, 5, 9}, true);
  EXPECT_EQ(pages(), (std::vector<uint64_t>{1, 2, 4, 5, 6, 9}));
  EXPECT_TRUE(list.begin()[2].hot) << "the newer report of page 4 counts";
  EXPECT_FALSE(list.begin()[1].hot);
  list.clear();
  gather({7});
  EXPECT_EQ(pages(), std::vector<uint64_t>{7});
}

TEST_F(PageListTest, ErasesARange) {
  gather({1, 2, 3, 4, 5});
  list.erase({2 * kPageBytes, 3 * kPageBytes});
  EXPECT_EQ(pages(), (std::vector<uint64_t>{1, 5}));
}

TEST_F(PageListTest, GivesMemoryOfLargeBatchesBack) {
  list.begin_collect();
  for (uint64_t i = 0; i < 300'000; ++i) list.append(i * kPageBytes, Kind::kHashed, false);
  list.merge_fresh();
  EXPECT_EQ(list.size(), 300'000U);
  const uint64_t middle = page_floor(reinterpret_cast<uint64_t>(list.begin() + 150'000));
  unsigned char resident = 0;
  ASSERT_EQ(mincore(reinterpret_cast<void*>(middle), kPageBytes, &resident), 0);
  EXPECT_EQ(resident & 1, 1);
  list.clear();
  list.begin_collect();  // until then a successor may ask what was cleared
  ASSERT_EQ(mincore(reinterpret_cast<void*>(middle), kPageBytes, &resident), 0);
  EXPECT_EQ(resident & 1, 0);
  gather({3});
  EXPECT_EQ(pages(), std::vector<uint64_t>{3});
}

TEST_F(PageListDeathTest, RefusesDisorder) {
  EXPECT_DEATH(gather({4, 3}), "check failed");
  EXPECT_DEATH(gather({4, 4}), "check failed");
}

}  // namespace
}  // namespace evenkeel::test
