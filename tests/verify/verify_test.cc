// The tree through its interface: what changes the root and what does not.
#include "verify/verify.h"

#include <algorithm>
#include <random>

#include "tests/verify/fixture.h"

namespace evenkeel::test {
namespace {

class Verify : public VerifyTest {};
using VerifyDeathTest = Verify;

TEST_F(Verify, EmptyTreeIsZero) {
  EXPECT_EQ(verify::root(), kZeroToken);
  update({0, 17, 4095});  // all zero
  EXPECT_EQ(verify::root(), kZeroToken);
  EXPECT_TRUE(changed().empty());
}

TEST_F(Verify, PageThatBecomesZeroIsAsIfNeverTouched) {
  at(3) = 1;
  update({3});
  EXPECT_NE(verify::root(), kZeroToken);
  at(3) = 0;
  update({3});
  EXPECT_EQ(verify::root(), kZeroToken);
}

TEST_F(Verify, EveryByteCounts) {
  std::vector<Token> roots = {verify::root()};
  for (const uint64_t offset : {0, 1, 63, 64, 2047, 4094, 4095}) {
    at(7, offset) = 1;
    update({7});
    for (const Token& earlier : roots) EXPECT_NE(verify::root(), earlier) << offset;
    roots.push_back(verify::root());
  }
}

TEST_F(Verify, PlaceCounts) {
  at(1) = 5;
  update({1});
  const Token at_one = verify::root();
  at(1) = 0;
  at(2) = 5;
  update({1, 2});
  EXPECT_NE(verify::root(), at_one);
  at(2) = 0;
  at(1000) = 5;
  update({2, 1000});
  EXPECT_NE(verify::root(), at_one);
}

TEST_F(Verify, FindsPlantedDifference) {
  for (uint64_t i = 0; i < kPages; i += 3) at(i, i) = 9;
  update(everything());
  verify::settle();
  const Token agreed = verify::root();
  at(1234, 1000) ^= 0x10;
  update({1230, 1234, 1237});
  EXPECT_NE(verify::root(), agreed);
  const auto leaves = changed();
  ASSERT_EQ(leaves.size(), 1U);
  EXPECT_EQ(leaves[0].page, page(1234));
  EXPECT_EQ(leaves[0].hash, verify::hash_bytes(&at(1234), kPageBytes, 0));
  at(1234, 1000) ^= 0x10;
  update({1234});
  EXPECT_EQ(verify::root(), agreed);
  EXPECT_TRUE(changed().empty());
}

TEST_F(Verify, ChangedLeavesAreSortedAndUnique) {
  verify::settle();
  at(9) = at(4) = at(4000) = 1;
  update({4000, 9, 4});
  at(9) = 2;
  update({9});
  at(9) = 3;
  update({9, 4});
  std::vector<uint64_t> pages;
  for (const auto& leaf : changed()) pages.push_back(leaf.page);
  EXPECT_EQ(pages, (std::vector<uint64_t>{page(4), page(9), page(4000)}));
  verify::settle();
  EXPECT_TRUE(changed().empty());
}

TEST_F(Verify, UndoRestoresTheSettledRoot) {
  at(1) = at(100) = 1;
  update({1, 100});
  verify::settle();
  const Token agreed = verify::root();
  at(1) = 2;
  update({1});
  at(1) = 3;
  at(2) = 3;
  at(100) = 0;
  update({1, 2, 100});
  EXPECT_NE(verify::root(), agreed);
  verify::undo();
  EXPECT_EQ(verify::root(), agreed);
  EXPECT_TRUE(changed().empty());
  at(1) = at(100) = 1;  // as a rollback of memory would
  at(2) = 0;
  EXPECT_EQ(fresh_root(), agreed);
}

TEST_F(Verify, OrderAndGroupingDoNotMatter) {
  std::mt19937_64 random(20261122);
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(verify::init().err(), 0);
    for (uint64_t i = 0; i < kPages; ++i) {
      at(i, random() % kPageBytes) = static_cast<uint8_t>(random() % 2);
    }
    auto order = everything();
    std::shuffle(order.begin(), order.end(), random);
    for (size_t done = 0; done < order.size();) {
      const size_t step = std::min<size_t>(1 + random() % 700, order.size() - done);
      update({order.begin() + static_cast<long>(done),
              order.begin() + static_cast<long>(done + step)});
      if (random() % 2 == 0) verify::settle();
      done += step;
    }
    const Token incremental = verify::root();
    ASSERT_EQ(incremental, fresh_root());
  }
}

TEST_F(Verify, RandomHistoriesEndAsAFreshTree) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const size_t bytes = kPages * kPageBytes;
  std::vector<uint8_t> settled(bytes);
  Token settled_root = verify::root();
  for (int batch = 0; batch < 200; ++batch) {
    std::vector<uint64_t> written;
    for (uint64_t i = random() % 100; i != 0; --i) {
      written.push_back(random() % kPages);
      at(written.back(), random() % kPageBytes) = static_cast<uint8_t>(random() % 3);
      if (random() % 30 == 0) update(written);
    }
    update(written);
    if (random() % 2 == 0) {
      verify::settle();
      memcpy(settled.data(), &at(0), bytes);
      settled_root = verify::root();
    } else {
      verify::undo();
      memcpy(&at(0), settled.data(), bytes);
      ASSERT_EQ(verify::root(), settled_root);
    }
  }
  EXPECT_EQ(fresh_root(), settled_root);
}

TEST_F(Verify, HeapAndMapArenaHavePlacesOfTheirOwn) {
  void* heap = mmap(reinterpret_cast<void*>(kHeapArena.begin), kPageBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_NE(heap, MAP_FAILED);
  *static_cast<uint8_t*>(heap) = 1;
  const uint64_t heap_page = kHeapArena.begin;
  verify::update(&heap_page, 1);
  const Token in_heap = verify::root();
  munmap(heap, kPageBytes);
  ASSERT_EQ(verify::init().err(), 0);
  at(0) = 1;
  update({0});
  EXPECT_NE(verify::root(), in_heap);
  EXPECT_NE(verify::root(), kZeroToken);
}

TEST_F(Verify, AddedRangesAreHashedAndRemovedOnesForgotten) {
  constexpr Range kLibrary = {0x7f00'0000'0000, 4 * kPageBytes};
  void* data = mmap(reinterpret_cast<void*>(kLibrary.begin), kLibrary.bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_NE(data, MAP_FAILED);
  at(5) = 1;
  update({5});
  const Token before = verify::root();
  ASSERT_TRUE(verify::add_range(kLibrary).ok());
  EXPECT_EQ(verify::root(), before);
  static_cast<uint8_t*>(data)[2 * kPageBytes] = 1;
  const uint64_t library_page = kLibrary.begin + 2 * kPageBytes;
  verify::update(&library_page, 1);
  EXPECT_NE(verify::root(), before);
  ASSERT_TRUE(verify::remove_range(kLibrary).ok());
  EXPECT_EQ(verify::root(), before);
  EXPECT_EQ(verify::remove_range(kLibrary).err(), ENOENT);
  ASSERT_TRUE(verify::add_range(kLibrary).ok());
  verify::update(&library_page, 1);
  EXPECT_NE(verify::root(), before);
  munmap(data, kLibrary.bytes);
}

TEST_F(VerifyDeathTest, PageOfNoRangeIsFatal) {
  const uint64_t stranger = 0x7f00'0000'0000;
  EXPECT_DEATH(verify::update(&stranger, 1), "check failed");
}

TEST_F(Verify, ChainDependsOnEveryPart) {
  const Token a = {1, 2};
  const Token b = {3, 4};
  const Token c = {5, 6};
  const Token token = verify::chain(a, b, c, 7);
  EXPECT_EQ(verify::chain(a, b, c, 7), token);
  EXPECT_NE(verify::chain(b, b, c, 7), token);
  EXPECT_NE(verify::chain(a, a, c, 7), token);
  EXPECT_NE(verify::chain(a, b, b, 7), token);
  EXPECT_NE(verify::chain(a, b, c, 8), token);
  EXPECT_NE(verify::chain(b, a, c, 7), token);
}

}  // namespace
}  // namespace evenkeel::test
