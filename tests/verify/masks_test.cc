// Bytes that may differ between replicas.
#include "verify/masks.h"

#include "tests/verify/fixture.h"

namespace evenkeel::test {
namespace {

class Masks : public VerifyTest {};

TEST_F(Masks, IgnoredBytesDoNotCount) {
  at(1, 99) = at(1, 100) = at(1, 107) = at(1, 108) = 1;
  update({1});
  ASSERT_TRUE(verify::ignore({page(1) + 100, 8}).ok());
  update({});
  const Token masked = verify::root();
  at(1, 100) = at(1, 107) = 77;
  update({1});
  EXPECT_EQ(verify::root(), masked);
  at(1, 99) = 2;
  update({1});
  EXPECT_NE(verify::root(), masked);
  at(1, 99) = 1;
  at(1, 108) = 2;
  update({1});
  EXPECT_NE(verify::root(), masked);
}

TEST_F(Masks, AddingAndRemovingRehashesCleanPages) {
  at(1, 100) = 5;
  at(2) = 1;
  update({1, 2});
  const Token plain = verify::root();
  ASSERT_TRUE(verify::ignore({page(1) + 100, 1}).ok());
  update({});
  EXPECT_NE(verify::root(), plain);
  ASSERT_TRUE(verify::stop_ignoring({page(1) + 100, 1}).ok());
  update({});
  EXPECT_EQ(verify::root(), plain);
}

TEST_F(Masks, MaskedToZeroIsAZeroPage) {
  at(1, 100) = 5;
  ASSERT_TRUE(verify::ignore({page(1) + 100, 1}).ok());
  update({1});
  EXPECT_EQ(verify::root(), kZeroToken);
}

TEST_F(Masks, RangesMaySpanPagesAndOverlap) {
  for (uint64_t i = 0; i < 6; ++i) memset(&at(i), 1, kPageBytes);
  ASSERT_TRUE(verify::ignore({page(1) + 4000, 2 * kPageBytes}).ok());
  ASSERT_TRUE(verify::ignore({page(2) + 10, 20}).ok());
  ASSERT_TRUE(verify::ignore({page(3) + 3000, 2000}).ok());
  update(everything());
  const Token masked = verify::root();
  at(1, 4000) = at(2) = at(2, 15) = at(2, 4095) = at(3, 3999) = at(4, 903) = 9;
  update(everything());
  EXPECT_EQ(verify::root(), masked);
  for (uint8_t* visible : {&at(1, 3999), &at(4, 904)}) {
    *visible = 9;
    update(everything());
    EXPECT_NE(verify::root(), masked);
    *visible = 1;
  }
}

TEST_F(Masks, UndoTakesThemBack) {
  at(1, 100) = 5;
  update({1});
  verify::settle();
  const Token agreed = verify::root();
  ASSERT_TRUE(verify::ignore({page(1) + 100, 1}).ok());
  update({});
  verify::undo();
  EXPECT_EQ(verify::root(), agreed);
  update({1});
  EXPECT_EQ(verify::root(), agreed);
  EXPECT_EQ(verify::stop_ignoring({page(1) + 100, 1}).err(), ENOENT);
}

TEST_F(Masks, UndoBeforeUpdateTakesThemBackToo) {
  at(1, 100) = 5;
  update({1});
  verify::settle();
  const Token agreed = verify::root();
  ASSERT_TRUE(verify::ignore({page(1) + 100, 1}).ok());
  verify::undo();
  update({1});
  EXPECT_EQ(verify::root(), agreed);
}

TEST_F(Masks, SettledOnesStay) {
  at(1, 100) = 5;
  ASSERT_TRUE(verify::ignore({page(1) + 100, 1}).ok());
  update({1});
  verify::settle();
  at(1, 100) = 6;
  update({1});
  verify::undo();
  update({1});
  EXPECT_EQ(verify::root(), kZeroToken);
}

TEST_F(Masks, RepeatedOnesAreOne) {
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(verify::ignore({page(1), 8}).ok());
  ASSERT_TRUE(verify::stop_ignoring({page(1), 8}).ok());
  EXPECT_EQ(verify::stop_ignoring({page(1), 8}).err(), ENOENT);
}

TEST_F(Masks, FullAtTheNamedBound) {
  for (uint64_t i = 0; i < verify::kMaxIgnored; ++i) {
    ASSERT_TRUE(verify::ignore({page(1) + 2 * i, 1}).ok()) << i;
  }
  EXPECT_EQ(verify::ignore({page(3), 1}).err(), ENOSPC);
  memset(&at(1), 1, kPageBytes);
  update({1});
  const Token masked = verify::root();
  for (uint64_t i = 0; i < verify::kMaxIgnored; ++i) at(1, 2 * i) = 7;
  update({1});
  EXPECT_EQ(verify::root(), masked);
}

TEST_F(Masks, OutsideKnownRangesNothingHappens) {
  ASSERT_TRUE(verify::ignore({0x7f00'0000'0000, 100}).ok());
  at(1) = 1;
  update({1});
  EXPECT_NE(verify::root(), kZeroToken);
  EXPECT_EQ(verify::ignore({page(1), 0}).err(), EINVAL);
  EXPECT_EQ(verify::ignore({page(1), UINT64_MAX}).err(), EINVAL);
}

}  // namespace
}  // namespace evenkeel::test
