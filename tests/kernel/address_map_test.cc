#include "runtime/kernel/address_map.h"

#include <gtest/gtest.h>

#include <vector>

#include "runtime/core/arena.h"
#include "tests/sched/replica.h"

namespace evenkeel::kernel {
namespace {

constexpr uint64_t kPages = 200;
constexpr Range kArena{kMapArena.begin, kPages* kPageBytes};
constexpr Attributes kReadWrite{PieceKind::kAnonymous, 3, 0, 0};
constexpr Attributes kNone{PieceKind::kAnonymous, 0, 0, 0};

Range pages(uint64_t first, uint64_t count) {
  return {kArena.begin + first * kPageBytes, count * kPageBytes};
}

class AddressMapTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { arena::init(); }
  AddressMapTest() { map_ = arena::create<AddressMap>(), map_->init(kArena); }
  AddressMap& map() { return *map_; }

 private:
  AddressMap* map_;
};

TEST_F(AddressMapTest, BeginsAsOneFreePiece) {
  EXPECT_EQ(map().at(kArena.begin + 5).end, kArena.end());
  EXPECT_EQ(map().first_fit(kArena.bytes), kArena.begin);
  EXPECT_EQ(map().first_fit(kArena.bytes + 1), 0u);
  EXPECT_EQ(map().used_end(), kArena.begin);
}

TEST_F(AddressMapTest, FindsTheLowestGapThatIsLargeEnough) {
  map().set(pages(0, 2), kReadWrite);
  map().set(pages(5, 2), kReadWrite);    // a gap of three
  map().set(pages(12, 20), kReadWrite);  // a gap of five
  EXPECT_EQ(map().first_fit(pages(0, 3).bytes), pages(2, 0).begin);
  EXPECT_EQ(map().first_fit(pages(0, 4).bytes), pages(7, 0).begin);
  EXPECT_EQ(map().first_fit(pages(0, 6).bytes), pages(32, 0).begin);
}

TEST_F(AddressMapTest, JoinsEqualNeighboursAndCutsAtNewBorders) {
  map().set(pages(0, 4), kReadWrite);
  map().set(pages(4, 4), kReadWrite);
  EXPECT_EQ(map().pieces(), 2u);
  map().set(pages(2, 2), kNone);
  EXPECT_EQ(map().pieces(), 4u);
  EXPECT_EQ(map().at(pages(1, 0).begin).end, pages(2, 0).begin);
  map().set(pages(2, 2), kReadWrite);
  EXPECT_EQ(map().pieces(), 2u);
  map().set(pages(0, 8), Attributes{});
  EXPECT_EQ(map().pieces(), 1u);
}

TEST_F(AddressMapTest, RemembersHowFarItWasEverUsed) {
  map().set(pages(10, 5), kReadWrite);
  map().set(pages(10, 5), Attributes{});
  EXPECT_EQ(map().used_end(), pages(15, 0).begin);
}

// Against an array of pages.
TEST_F(AddressMapTest, AgreesWithAnArrayOfPages) {
  test::Random random(17);
  std::vector<Attributes> model(kPages);
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t first = random.below(kPages);
    const uint64_t count = 1 + random.below(static_cast<uint32_t>(kPages - first));
    const uint64_t few = count < 12 ? count : 12;
    Attributes attributes{};
    if (random.below(3) != 0) {
      attributes = {PieceKind::kAnonymous, static_cast<uint8_t>(random.below(4)), 0, 0};
    }
    map().set(pages(first, few), attributes);
    std::fill_n(model.begin() + static_cast<long>(first), few, attributes);

    uint64_t pieces = 1;
    uint64_t longest = 0;
    uint64_t run = 0;
    for (uint64_t i = 0; i < kPages; ++i) {
      ASSERT_EQ(map().at(pages(i, 0).begin).attributes, model[i]) << "step " << step;
      if (i != 0 && !(model[i] == model[i - 1])) ++pieces;
      run = model[i].kind == PieceKind::kFree ? run + 1 : 0;
      longest = run > longest ? run : longest;
    }
    ASSERT_EQ(map().pieces(), pieces);
    ASSERT_EQ(map().first_fit((longest + 1) * kPageBytes), 0u);
    if (longest != 0) {
      uint64_t lowest = 0;
      for (run = 0; run < longest; ++lowest) {
        run = model[lowest].kind == PieceKind::kFree ? run + 1 : 0;
      }
      ASSERT_EQ(map().first_fit(longest * kPageBytes), pages(lowest - longest, 0).begin);
    }
  }
}

TEST_F(AddressMapTest, VisitsPartsInAscendingOrderWhileTheyChange) {
  map().set(pages(3, 4), kReadWrite);
  map().set(pages(9, 4), kNone);
  std::vector<uint64_t> sizes;
  map().visit(pages(4, 8), [&](Range part, const Attributes& before) {
    sizes.push_back(part.bytes / kPageBytes);
    if (before.kind != PieceKind::kFree) map().set(part, Attributes{});
  });
  EXPECT_EQ(sizes, (std::vector<uint64_t>{3, 2, 3}));
  EXPECT_EQ(map().pieces(), 5u);
}

}  // namespace
}  // namespace evenkeel::kernel
