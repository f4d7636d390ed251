#include "runtime/host/batch.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/host/deck.h"

namespace evenkeel::host {
namespace {

class BatchTest : public ::testing::Test {
 protected:
  void data(wire::Channel channel, const std::string& text) {
    std::memcpy(batch_.cursor(), text.data(), text.size());
    batch_.add_data(channel, static_cast<uint32_t>(text.size()));
  }
  std::string text(uint32_t index) {
    const wire::Input& input = batch_.input(index);
    return {reinterpret_cast<const char*>(batch_.payload(input)), input.bytes};
  }
  Deck deck_;
  Batch batch_{*deck_};
};

TEST_F(BatchTest, PayloadsLieWhereTheyWereReadAligned) {
  data(5, "one");
  data(6, "another");
  EXPECT_EQ(text(0), "one");
  EXPECT_EQ(text(1), "another");
  EXPECT_EQ(batch_.input(1).offset % 16, 0U);
  EXPECT_EQ(batch_.requests(), 2U);
}

TEST_F(BatchTest, ASignalIsAGroupOfItsOwn) {
  data(5, "before");
  batch_.add_signal(SIGHUP);
  data(5, "after");
  EXPECT_EQ(batch_.input(0).group, 0U);
  EXPECT_EQ(batch_.input(1).group, 1U);
  EXPECT_EQ(batch_.input(2).group, 2U);
}

TEST_F(BatchTest, AFirstSignalBeginsWithGroupZero) {
  batch_.add_signal(SIGHUP);
  batch_.add_signal(SIGTERM);
  data(5, "after");
  EXPECT_EQ(batch_.input(0).group, 0U);
  EXPECT_EQ(batch_.input(1).group, 1U);
  EXPECT_EQ(batch_.input(2).group, 2U);
}

TEST_F(BatchTest, PoisonTakesTheRestOfItsConnection) {
  data(5, "fine");
  data(6, "poison");
  data(5, "fine too");
  data(6, "more");
  batch_.add(wire::InputKind::kEof, 6, 0);
  data(7, "last");
  batch_.poison(1, ECONNRESET);
  ASSERT_EQ(batch_.count(), 4U);
  EXPECT_EQ(batch_.input(1).kind, wire::InputKind::kReset);
  EXPECT_EQ(batch_.input(1).channel, 6U);
  EXPECT_EQ(text(2), "fine too");
  EXPECT_EQ(text(3), "last");
}

TEST_F(BatchTest, RegroupingKeepsTheOrderWithinAGroup) {
  for (const char* name : {"a", "b", "c", "d", "e"}) data(5, name);
  batch_.regroup(std::vector<uint32_t>{2, 0, 2, 1, 0});
  std::string order;
  for (uint32_t i = 0; i < 5; ++i) order += text(i) + std::to_string(batch_.input(i).group);
  EXPECT_EQ(order, "b0e0d1a2c2");
}

TEST_F(BatchTest, IsFullBeforeTheDeckIs) {
  while (batch_.has_room()) data(5, "x");
  for (uint32_t i = 0; i < Batch::kInputsPerVisit - 1 + Batch::kSignalRoom; ++i) {
    batch_.add(wire::InputKind::kEof, 5, 0);
  }
  EXPECT_LE(batch_.count(), wire::kMaxInputs);
}

TEST_F(BatchTest, NeverReadsBeyondTheInputArea) {
  uint64_t total = 0;
  while (batch_.has_room()) {
    const size_t limit = batch_.read_limit();
    EXPECT_LE(limit, wire::kInputBytesPerChannel);
    total += limit;
    batch_.add_data(5, static_cast<uint32_t>(limit));
  }
  EXPECT_LE(total, wire::kInputBytes);
  EXPECT_GT(total, wire::kInputBytes - 2 * wire::kInputBytesPerChannel);
}

}  // namespace
}  // namespace evenkeel::host
