// Which batches are executed again because a wake-up may have been lost, and for how long.
#include "runtime/host/lost_wakeups.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "runtime/host/deck.h"

namespace evenkeel::host {
namespace {

constexpr wire::Channel kChannel = (5ULL << wire::kChannelSlotBits) + 3;
constexpr wire::Channel kOther = (6ULL << wire::kChannelSlotBits) + 4;
constexpr uint64_t kCondition = 0x1000;

class LostWakeupsTest : public testing::Test {
 protected:
  LostWakeupsTest() : batch_(*deck_) {
    batch_.add_data(kChannel, 4);
    waits_on({kCondition});
  }

  wire::Replica& replica() { return deck_->replicas[0]; }
  void waits_on(const std::vector<uint64_t>& objects) {
    replica().waits.count = static_cast<uint32_t>(objects.size());
    for (size_t i = 0; i < objects.size(); ++i) replica().waits.wait[i].object = objects[i];
  }
  void output(wire::OutputKind kind, wire::Channel channel, const std::string& text = "ok") {
    const wire::OutputRecord record{kind, static_cast<uint32_t>(text.size()), channel};
    const size_t at = outputs_.size();
    outputs_.resize(at + sizeof record + (text.size() + 7) / 8 * 8);
    std::memcpy(&outputs_[at], &record, sizeof record);
    std::memcpy(&outputs_[at + sizeof record], text.data(), text.size());
  }
  bool suspects() {
    replica().result.output_bytes = outputs_.size();
    return wakeups_.suspects(replica(), batch_, outputs_.data());
  }
  // The re-execution answers these, and that is all.
  bool confirmed_by(const std::vector<wire::Channel>& channels) {
    outputs_.clear();
    for (const wire::Channel channel : channels) output(wire::OutputKind::kData, channel);
    wakeups_.add_outputs(outputs_.data(), outputs_.size());
    outputs_.clear();
    return wakeups_.conclude();
  }

  Deck deck_;
  Batch batch_;
  LostWakeups wakeups_;
  std::vector<uint8_t> outputs_;
};

TEST_F(LostWakeupsTest, ARequestWithoutAnswerBesideANewWaitIsSuspect) {
  EXPECT_TRUE(suspects());
  EXPECT_TRUE(confirmed_by({kChannel}));
}

TEST_F(LostWakeupsTest, WithoutANewWaitNothingIs) {
  waits_on({});
  EXPECT_FALSE(suspects());
}

TEST_F(LostWakeupsTest, AnAnswerOfAnyKindIsOne) {
  for (const auto kind : {wire::OutputKind::kData, wire::OutputKind::kClose,
                          wire::OutputKind::kAbort, wire::OutputKind::kShutdownWrite}) {
    outputs_.clear();
    output(kind, kChannel, "");
    EXPECT_FALSE(suspects());
  }
  outputs_.clear();
  output(wire::OutputKind::kPauseInput, kChannel, "");
  EXPECT_TRUE(suspects());
}

TEST_F(LostWakeupsTest, AnAnswerToSomebodyElseIsNone) {
  output(wire::OutputKind::kData, kOther);
  output(wire::OutputKind::kData, wire::kVirtualSocketBase + 3);
  output(wire::OutputKind::kStdio, 3);
  EXPECT_TRUE(suspects());
  EXPECT_FALSE(confirmed_by({kOther}));
}

TEST_F(LostWakeupsTest, UnansweredInputsThatAreNoRequestsDoNotCount) {
  batch_.clear();
  batch_.add(wire::InputKind::kEof, kChannel, 0);
  batch_.add(wire::InputKind::kBacklog, kOther, 100);
  EXPECT_FALSE(suspects());
}

TEST_F(LostWakeupsTest, WhatWasHarmlessIsSuspectedEverMoreRarely) {
  int trials = 0;
  for (int i = 0; i < 1000; ++i) {
    if (!suspects()) continue;
    ++trials;
    EXPECT_FALSE(confirmed_by({}));
  }
  EXPECT_EQ(trials, 10);  // at 0, 2, 5, 10, 19, ...: after 1, 2, 4, 8, ... occasions
}

TEST_F(LostWakeupsTest, AConfirmationEndsThePatience) {
  EXPECT_TRUE(suspects());
  EXPECT_FALSE(confirmed_by({}));
  EXPECT_FALSE(suspects());
  EXPECT_TRUE(suspects());
  EXPECT_TRUE(confirmed_by({kChannel}));
  EXPECT_TRUE(suspects());
  EXPECT_TRUE(confirmed_by({kChannel}));
}

TEST_F(LostWakeupsTest, AnotherWaitIsSuspectedForItself) {
  EXPECT_TRUE(suspects());
  EXPECT_FALSE(confirmed_by({}));
  EXPECT_FALSE(suspects());
  waits_on({kCondition, kCondition + 64});
  EXPECT_TRUE(suspects());
}

TEST_F(LostWakeupsTest, MoreObjectsThanCanBeLearntAreNotSuspected) {
  for (uint64_t i = 0; i < LostWakeups::kMaxObjects; ++i) {
    waits_on({0x10000 + i * 64});
    ASSERT_TRUE(suspects());
    ASSERT_FALSE(confirmed_by({}));
  }
  waits_on({0x10000 + LostWakeups::kMaxObjects * 64});
  EXPECT_FALSE(suspects());
}

TEST_F(LostWakeupsTest, LengthsFromTheDeckAreNotBelieved) {
  replica().waits.count = UINT32_MAX;
  output(wire::OutputKind::kData, kChannel);
  wire::OutputRecord bad{wire::OutputKind::kData, UINT32_MAX, kChannel};
  std::memcpy(outputs_.data(), &bad, sizeof bad);
  EXPECT_TRUE(suspects());
}

}  // namespace
}  // namespace evenkeel::host
