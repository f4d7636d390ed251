#include "runtime/host/recorded_order.h"

#include <gtest/gtest.h>

namespace evenkeel::host {
namespace {

constexpr uint64_t kLock = 0x1000;
constexpr uint64_t kOther = 0x2000;

RecordedOrder::Operation on(uint64_t object, uint32_t version) { return {object, version, true}; }

RecordedOrder order_of(std::vector<std::vector<RecordedOrder::Operation>> threads) {
  RecordedOrder order;
  uint32_t number = 0;
  for (auto& operations : threads) order.add_thread(number++, std::move(operations));
  order.finish();
  return order;
}

TEST(RecordedOrder, NothingOrdersThreadsThatShareNoObject) {
  const RecordedOrder order = order_of({{on(kLock, 0)}, {on(kOther, 0)}});
  EXPECT_TRUE(order.concurrent({0, 0, {}}, {1, 0, {}}));
  EXPECT_TRUE(order.concurrent({0, 0, {}}, {1, 1, {}}));
}

TEST(RecordedOrder, AThreadIsInOrderWithItself) {
  const RecordedOrder order = order_of({{on(kLock, 0)}});
  EXPECT_FALSE(order.concurrent({0, 0, {}}, {0, 1, {}}));
}

TEST(RecordedOrder, WhatComesBeforeALockIsBeforeWhatFollowsItsNextTurn) {
  const RecordedOrder order = order_of({{on(kLock, 0)}, {on(kLock, 1)}});
  EXPECT_FALSE(order.concurrent({0, 0, {}}, {1, 1, {}}));
  EXPECT_TRUE(order.concurrent({0, 0, {}}, {1, 0, {}}));  // the other has not had its turn
  EXPECT_TRUE(order.concurrent({0, 1, {}}, {1, 1, {}}));  // after the section: not ordered
}

TEST(RecordedOrder, ASectionEndsBeforeTheNextTurn) {
  const RecordedOrder order = order_of({{on(kLock, 0)}, {on(kLock, 1)}});
  EXPECT_FALSE(order.concurrent({0, 1, {kLock}}, {1, 1, {}}));
  EXPECT_TRUE(order.concurrent({0, 1, {kLock}}, {1, 0, {}}));
}

TEST(RecordedOrder, ACommonLockKeepsApart) {
  const RecordedOrder order;
  EXPECT_FALSE(order.concurrent({0, 0, {kLock}}, {1, 0, {kOther, kLock}}));
  EXPECT_TRUE(order.concurrent({0, 0, {kLock}}, {1, 0, {kOther}}));
}

TEST(RecordedOrder, OrderIsTransitive) {
  const RecordedOrder order =
      order_of({{on(kLock, 0)}, {on(kLock, 1), on(kOther, 5)}, {on(kOther, 6)}});
  EXPECT_FALSE(order.concurrent({0, 0, {}}, {2, 1, {}}));
}

TEST(RecordedOrder, TablesOfTheRuntimeOrderNothing) {
  RecordedOrder order;
  order.add_thread(0, {{kLock, 0, false}});
  order.add_thread(1, {{kLock, 1, false}});
  order.finish();
  EXPECT_TRUE(order.concurrent({0, 0, {}}, {1, 1, {}}));
}

TEST(RecordedOrder, VersionsWrapAround) {
  const RecordedOrder order = order_of({{on(kLock, 0xff'ffff)}, {on(kLock, 0)}});
  EXPECT_FALSE(order.concurrent({0, 0, {}}, {1, 1, {}}));
}

// A log that the server has overwritten may contradict itself.
TEST(RecordedOrder, ACircleOrdersNothing) {
  const RecordedOrder order =
      order_of({{on(kLock, 1), on(kOther, 0)}, {on(kOther, 1), on(kLock, 0)}});
  EXPECT_TRUE(order.concurrent({0, 1, {}}, {1, 1, {}}));
}

TEST(RecordedOrder, KnowsTheObjects) {
  const RecordedOrder order = order_of({{on(kLock, 0)}});
  EXPECT_TRUE(order.is_object(kLock));
  EXPECT_TRUE(order.is_object(kLock + 8));
  EXPECT_FALSE(order.is_object(kLock + 4096));
}

}  // namespace
}  // namespace evenkeel::host
