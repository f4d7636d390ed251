#include "verify/tree.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/verify/fixture.h"

namespace evenkeel::test {
namespace {

// constinit, as in the product: the class has no constructor to run.
constinit verify::Tree tree;

class TreeTest : public testing::Test {
 protected:
  TreeTest() { EXPECT_EQ(tree.map().err(), 0); }
  static void set(uint64_t position, uint64_t value) {
    tree.set_leaf(position, position * kPageBytes, {value, value});
  }
};

TEST_F(TreeTest, RootIsTheHashOfHashes) {
  set(0, 1);
  tree.climb();
  Token expected = {1, 1};
  for (uint64_t level = 1; level <= verify::kLevels; ++level) {
    Token children[verify::kFanOut] = {expected};
    expected = verify::hash_bytes(children, sizeof(children), level);
  }
  EXPECT_EQ(tree.root(), expected);
}

TEST_F(TreeTest, FirstAndLastLeafCount) {
  const uint64_t last = (uint64_t{1} << verify::kLeavesLog2) - 1;
  set(0, 1);
  tree.climb();
  const Token first_only = tree.root();
  set(last, 1);
  tree.climb();
  EXPECT_NE(tree.root(), first_only);
  set(last, 0);
  tree.climb();
  EXPECT_EQ(tree.root(), first_only);
  set(0, 0);
  tree.climb();
  EXPECT_EQ(tree.root(), kZeroToken);
}

TEST_F(TreeTest, UnsortedAndRepeatedLeavesAreClimbedOnce) {
  for (const uint64_t position : {900, 5, 900, 70000, 5, 6}) set(position, position + 1);
  set(900, 77);
  tree.climb();
  const Token mixed = tree.root();
  ASSERT_EQ(tree.map().err(), 0);
  set(5, 6);
  set(6, 7);
  set(900, 77);
  set(70000, 70001);
  tree.climb();
  EXPECT_EQ(tree.root(), mixed);
}

TEST_F(TreeTest, LargeLogsAreUndoneAndGivenBack) {
  constexpr uint64_t kMany = 200'000;
  set(3, 3);
  tree.climb();
  tree.settle();
  const Token agreed = tree.root();
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < kMany; ++i) set(i * 7, i + 1);
    tree.climb();
    EXPECT_NE(tree.root(), agreed);
    const wire::Leaf* leaves = nullptr;
    EXPECT_EQ(tree.changed(leaves), kMany);
    EXPECT_EQ(leaves[kMany - 1].page, (kMany - 1) * 7 * kPageBytes);
    tree.undo();
    EXPECT_EQ(tree.root(), agreed);
    tree.settle();
  }
}

TEST_F(TreeTest, SamePageAtANewPositionIsTwoLeaves) {
  tree.set_leaf(10, kPageBytes, {1, 1});
  tree.settle();
  tree.set_leaf(10, kPageBytes, {0, 0});  // its range was removed
  tree.set_leaf(20, kPageBytes, {2, 2});  // and added again
  tree.climb();
  const wire::Leaf* leaves = nullptr;
  ASSERT_EQ(tree.changed(leaves), 2U);
  EXPECT_EQ(leaves[0].hash, kZeroToken);
  EXPECT_EQ(leaves[1].hash, (Token{2, 2}));
}

}  // namespace
}  // namespace evenkeel::test
