#include "runtime/host/guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "runtime/host/deck.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

// Code of this program, so that call sites have a module.
uint64_t code(uint64_t offset) { return reinterpret_cast<uint64_t>(&code) + offset; }

wire::Interleaving suspect(uint64_t offset) {
  wire::Interleaving result{};
  result.before = {code(offset), 8};
  result.between = {code(offset + 1), 8};
  result.after = {code(offset + 2), 8};
  result.key = wire::interleaving_key(result.before, result.between, result.after);
  result.lock = 0x1000;
  result.input = 5;
  result.other = 6;
  return result;
}

class GuardTest : public testing::Test {
 protected:
  Guard make(wire::Guard mode) {
    Guard guard(*deck_, stats_, mode, directory_.path() / "guard.json");
    deck_->replicas[0].pid = ::getpid();
    guard.started(::getpid());
    return guard;
  }

  // What the primary's guard and server would have left in the deck.
  void executed(const wire::Interleaving& which, const std::string& answer) {
    wire::GuardResult& result = deck_->replicas[0].guard;
    const bool learnt = wire::is_learnt(deck_->learnt, which.key);
    result.suspects = learnt ? 0 : 1;
    result.learnt = learnt ? 1 : 0;
    (learnt ? result.learnt_key[0] : result.suspect[0].key) = which.key;
    if (!learnt) result.suspect[0] = which;
    deck_->replicas[0].result.output_bytes = answered(answer);
  }
  uint64_t answered(const std::string& answer) {
    const wire::OutputRecord record{wire::OutputKind::kData, static_cast<uint32_t>(answer.size()),
                                    5};
    std::memcpy(deck_->outputs[0], &record, sizeof record);
    std::memcpy(deck_->outputs[0] + sizeof record, answer.data(), answer.size());
    return sizeof record + ((answer.size() + 7) & ~size_t{7});
  }

  // One batch: false if it was not suspected.
  bool batch(Guard& guard, const wire::Interleaving& which, const std::string& first,
             const std::string& again) {
    executed(which, first);
    report_ = Report{};
    reported_ = false;
    if (!guard.suspects(0)) return false;
    guard.begin_trial(0, report_);
    guard.add_outputs(deck_->outputs[0], answered(again));
    reported_ = guard.end_trial(true, report_);
    return true;
  }
  uint32_t batches_until_learnt(Guard& guard, const wire::Interleaving& which) {
    for (uint32_t n = 1; n <= 10000; ++n) {
      if (!batch(guard, which, "same", "same")) return n - 1;
    }
    return 0;
  }

  test::TemporaryDirectory directory_;
  Deck deck_;
  Stats stats_;
  Report report_;
  bool reported_ = false;
};

TEST_F(GuardTest, LearnsWhatChangesNoAnswerAndSuspectsItNoMore) {
  Guard guard = make(wire::Guard::kLearn);
  EXPECT_EQ(batches_until_learnt(guard, suspect(0)), Interleavings::kRowOfTrusted);
  EXPECT_EQ(stats_.guard_learnt, 1U);
  EXPECT_EQ(deck_->learnt.count, 1U);
}

TEST_F(GuardTest, ReportsTheFirstSightAndEveryChange) {
  Guard guard = make(wire::Guard::kLearn);
  ASSERT_TRUE(batch(guard, suspect(0), "same", "same"));
  EXPECT_TRUE(reported_);
  ASSERT_EQ(report_.interleavings_size(), 1);
  EXPECT_EQ(report_.interleavings(0).lock(), 0x1000U);
  EXPECT_NE(code_text(report_.interleavings(0).between()).find("guard_test"), std::string::npos);
  ASSERT_TRUE(batch(guard, suspect(0), "same", "same"));
  EXPECT_FALSE(reported_);
  ASSERT_TRUE(batch(guard, suspect(0), "41", "42"));
  EXPECT_TRUE(reported_);
  EXPECT_NE(report_.outcome().find("1 connections were others"), std::string::npos);
}

TEST_F(GuardTest, NeverLearnsWhatChangesAnswers) {
  Guard guard = make(wire::Guard::kLearn);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(batch(guard, suspect(0), "41", "42"));
  EXPECT_EQ(stats_.guard_learnt, 0U);
}

TEST_F(GuardTest, AMissingAnswerIsAnotherAnswer) {
  Guard guard = make(wire::Guard::kLearn);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(batch(guard, suspect(0), "", "42"));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(batch(guard, suspect(0), "42", ""));
  EXPECT_EQ(stats_.guard_learnt, 0U);
}

TEST_F(GuardTest, AnIncompleteReexecutionProvesNothing) {
  Guard guard = make(wire::Guard::kLearn);
  for (int i = 0; i < 100; ++i) {
    executed(suspect(0), "same");
    ASSERT_TRUE(guard.suspects(0));
    guard.begin_trial(0, report_);
    guard.add_outputs(deck_->outputs[0], answered("same"));
    EXPECT_TRUE(guard.end_trial(false, report_));
  }
  EXPECT_EQ(stats_.guard_learnt, 0U);
}

TEST_F(GuardTest, StrictNeverLearns) {
  Guard guard = make(wire::Guard::kStrict);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(batch(guard, suspect(0), "same", "same"));
  EXPECT_EQ(deck_->learnt.count, 0U);
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "guard.json"));
}

TEST_F(GuardTest, ADivergenceUnlearns) {
  Guard guard = make(wire::Guard::kLearn);
  batches_until_learnt(guard, suspect(0));
  executed(suspect(0), "");
  guard.blame(0);
  EXPECT_EQ(stats_.guard_learnt, 0U);
  EXPECT_EQ(batches_until_learnt(guard, suspect(0)), 2 * Interleavings::kRowOfTrusted);
}

TEST_F(GuardTest, AnAuditThatFailsUnlearns) {
  Guard guard = make(wire::Guard::kLearn);
  batches_until_learnt(guard, suspect(0));  // the last of them was its first sighting
  for (uint32_t i = 2; i < Interleavings::kFirstAudit; ++i) {
    ASSERT_FALSE(batch(guard, suspect(0), "41", "42"));
  }
  ASSERT_TRUE(batch(guard, suspect(0), "41", "42"));
  EXPECT_TRUE(reported_);
  EXPECT_EQ(deck_->learnt.count, 0U);
  EXPECT_TRUE(batch(guard, suspect(0), "41", "42"));
}

// Each would be due at its 64th sighting: without a budget there were a hundred tests.
TEST_F(GuardTest, AuditsAreFewHoweverMuchIsLearnt) {
  constexpr uint64_t kLearnt = 100;
  Guard guard = make(wire::Guard::kLearn);
  for (uint64_t i = 0; i < kLearnt; ++i) {
    ASSERT_GT(batches_until_learnt(guard, suspect(i * 4)), 0U);
  }
  uint64_t audits = 0;
  uint64_t batches = 0;
  for (uint32_t round = 0; round < Interleavings::kFirstAudit; ++round) {
    for (uint64_t i = 0; i < kLearnt; ++i, ++batches) {
      if (batch(guard, suspect(i * 4), "same", "same")) ++audits;
    }
  }
  EXPECT_GT(audits, 0U);
  EXPECT_LE(audits, Guard::kMaxSavedAudits + batches / Guard::kBatchesPerAudit);
}

TEST_F(GuardTest, WhatWasLearntIsKnownToTheNextRun) {
  {
    Guard guard = make(wire::Guard::kLearn);
    batches_until_learnt(guard, suspect(0));
    batch(guard, suspect(16), "41", "42");
  }
  deck_.clear();
  Guard guard = make(wire::Guard::kLearn);
  EXPECT_EQ(stats_.guard_learnt, 1U);
  EXPECT_FALSE(batch(guard, suspect(0), "same", "same"));
  EXPECT_EQ(batches_until_learnt(guard, suspect(16)), Interleavings::kRowOfConvicted);
}

// The module is the same file, but the build that was learnt from is another.
TEST_F(GuardTest, AnotherBuildLearnsAnew) {
  {
    Guard guard = make(wire::Guard::kLearn);
    batches_until_learnt(guard, suspect(0));
  }
  std::string complaint;
  GuardRecord record = read_guard_file(directory_.path() / "guard.json", complaint);
  ASSERT_EQ(record.interleavings.size(), 1U);
  record.interleavings[0].before.place.build = "0123";
  ASSERT_TRUE(write_guard_file(directory_.path() / "guard.json", record));
  Guard guard = make(wire::Guard::kLearn);
  EXPECT_EQ(stats_.guard_learnt, 0U);
  EXPECT_TRUE(batch(guard, suspect(0), "same", "same"));
}

TEST_F(GuardTest, ADamagedFileIsSaidAndIgnored) {
  std::ofstream(directory_.path() / "guard.json") << "{";
  testing::internal::CaptureStderr();
  Guard guard = make(wire::Guard::kLearn);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("it is damaged"), std::string::npos);
  EXPECT_EQ(batches_until_learnt(guard, suspect(0)), Interleavings::kRowOfTrusted);
}

}  // namespace
}  // namespace evenkeel::host
