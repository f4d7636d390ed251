#include "runtime/host/executor.h"

#include <gtest/gtest.h>

#include <csignal>

#include "runtime/host/deck.h"

namespace evenkeel::host {
namespace {

class JudgeTest : public ::testing::Test {
 protected:
  void all(wire::Status status) {
    for (uint32_t i = 0; i < 3; ++i) {
      deck_->replicas[i].result = {};
      deck_->replicas[i].result.status = status;
      deck_->replicas[i].result.token = {1, 2};
    }
  }
  wire::Result& result(uint32_t i) { return deck_->replicas[i].result; }
  Verdict judge_all(bool verify = true) { return judge(*deck_, 0b111, verify); }
  Deck deck_;
};

TEST_F(JudgeTest, EqualTokensAgree) {
  all(wire::Status::kQuiescent);
  EXPECT_EQ(judge_all(), Verdict::kAgreed);
}

TEST_F(JudgeTest, OneOtherTokenIsADivergence) {
  all(wire::Status::kQuiescent);
  result(2).token.high = 3;
  EXPECT_EQ(judge_all(), Verdict::kDiverged);
  EXPECT_EQ(judge_all(false), Verdict::kAgreed);
  EXPECT_EQ(judge(*deck_, 0b011, true), Verdict::kAgreed);  // the odd one is dead
}

TEST_F(JudgeTest, ExitsAgreeIfTheirStatusDoes) {
  all(wire::Status::kExited);
  EXPECT_EQ(judge_all(), Verdict::kExited);
  result(1).exit_status = 1;
  EXPECT_EQ(judge_all(), Verdict::kDiverged);
}

TEST_F(JudgeTest, AFaultOfAllIsNotADivergence) {
  all(wire::Status::kFault);
  result(1).fault_address = 4096;  // where it shows may differ
  EXPECT_EQ(judge_all(), Verdict::kAllFaulted);
  result(1).status = wire::Status::kQuiescent;
  EXPECT_EQ(judge_all(), Verdict::kDiverged);
}

TEST_F(JudgeTest, LeavingTheRecordedOrderIsADivergence) {
  all(wire::Status::kDiverged);
  EXPECT_EQ(judge_all(), Verdict::kDiverged);
}

TEST_F(JudgeTest, DaemonisingNeedsAll) {
  all(wire::Status::kDaemonise);
  EXPECT_EQ(judge_all(), Verdict::kDaemonise);
  result(0).status = wire::Status::kQuiescent;
  EXPECT_EQ(judge_all(), Verdict::kDiverged);
}

}  // namespace
}  // namespace evenkeel::host
