#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "runtime/kernel/memo.h"

namespace evenkeel::kernel {
namespace {

using wire::FileMemo;
using wire::FileMemos;
using wire::FileOp;
using Key = MemoList::Key;

class FileMemoList : public testing::Test {
 protected:
  FileMemo* answer(const Key& key, int64_t result) {
    FileMemo* memo = list_.claim(key, 16);
    if (memo == nullptr) return nullptr;
    memo->result = result;
    list_.publish(*memo, key);
    return memo;
  }

  std::unique_ptr<FileMemos> memos_ = std::make_unique<FileMemos>();
  MemoList list_{*memos_};
};

constexpr Key kUnlink{7, 3, 0, FileOp::kUnlink, 0xabc};

TEST_F(FileMemoList, HidesAnAnswerUntilItIsPublished) {
  FileMemo* memo = list_.claim(kUnlink, 0);
  ASSERT_NE(memo, nullptr);
  EXPECT_EQ(list_.find(kUnlink), nullptr);
  memo->result = -2;
  list_.publish(*memo, kUnlink);
  ASSERT_EQ(list_.find(kUnlink), memo);
  EXPECT_EQ(list_.find(kUnlink)->result, -2);
}

TEST_F(FileMemoList, TellsThreadsAndCallsApart) {
  answer({7, 1, 0, FileOp::kUnlink, 1}, 10);
  answer({7, 2, 0, FileOp::kUnlink, 2}, 20);
  answer({7, 1, 1, FileOp::kUnlink, 3}, 30);
  EXPECT_EQ(list_.find({7, 1, 0, FileOp::kUnlink, 1})->result, 10);
  EXPECT_EQ(list_.find({7, 2, 0, FileOp::kUnlink, 2})->result, 20);
  EXPECT_EQ(list_.find({7, 1, 1, FileOp::kUnlink, 3})->result, 30);
  EXPECT_EQ(list_.find({7, 2, 1, FileOp::kUnlink, 3}), nullptr);
}

TEST_F(FileMemoList, FindsACallWithOtherArgumentsAndShowsThatTheyDiffer) {
  answer(kUnlink, 0);
  Key other = kUnlink;
  other.arguments = 0xdef;
  const FileMemo* memo = list_.find(other);
  ASSERT_NE(memo, nullptr);
  EXPECT_FALSE(same_call(*memo, other));
  EXPECT_TRUE(same_call(*memo, kUnlink));
}

TEST_F(FileMemoList, DoesNotGiveARolledBackAnswerToAFollower) {
  answer(kUnlink, 0);
  Key later = kUnlink;
  later.sequence = 8;
  EXPECT_EQ(list_.find(later), nullptr);
}

TEST_F(FileMemoList, GivesARolledBackAnswerToTheRepetitionOnce) {
  FileMemo* memo = answer(kUnlink, 0);
  Key repeated = kUnlink;
  repeated.sequence = 8;
  ASSERT_EQ(list_.reuse(repeated), memo);
  list_.publish(*memo, repeated);
  EXPECT_EQ(list_.find(repeated), memo);
  Key again = repeated;
  again.index = 1;
  EXPECT_EQ(list_.reuse(again), nullptr);
}

TEST_F(FileMemoList, GivesItToAnotherThreadThatDoesTheSame) {
  FileMemo* memo = answer(kUnlink, 0);
  const Key other{8, 5, 9, FileOp::kUnlink, kUnlink.arguments};
  ASSERT_EQ(list_.reuse(other), memo);
  list_.publish(*memo, other);
  EXPECT_EQ(list_.find(other), memo);
}

TEST_F(FileMemoList, PrefersTheAnswerOfTheSameThread) {
  answer({7, 1, 0, FileOp::kStat, 5}, 100);
  FileMemo* own = answer({7, 2, 0, FileOp::kStat, 5}, 200);
  EXPECT_EQ(list_.reuse({8, 2, 0, FileOp::kStat, 5}), own);
}

TEST_F(FileMemoList, GivesNothingToACallThatDiffers) {
  answer(kUnlink, 0);
  EXPECT_EQ(list_.reuse({8, 3, 0, FileOp::kUnlink, 0xdef}), nullptr);
  EXPECT_EQ(list_.reuse({8, 3, 0, FileOp::kMkdir, 0xabc}), nullptr);
}

TEST_F(FileMemoList, DoesNotReuseWhatThisCommandAnswered) {
  answer(kUnlink, 0);
  Key second = kUnlink;
  second.index = 1;
  EXPECT_EQ(list_.reuse(second), nullptr);
}

TEST_F(FileMemoList, CountsEffectsThatTheRepetitionDidNotWant) {
  answer({7, 1, 0, FileOp::kMkdir, 1}, 0);
  answer({7, 1, 1, FileOp::kStat, 2}, 0);         // changes nothing
  answer({7, 1, 2, FileOp::kMkdir, 3}, -EEXIST);  // changed nothing
  FileMemo* wanted = answer({7, 1, 3, FileOp::kMkdir, 4}, 0);
  const Key repeated{8, 1, 0, FileOp::kMkdir, 4};
  ASSERT_EQ(list_.reuse(repeated), wanted);
  list_.publish(*wanted, repeated);
  EXPECT_EQ(list_.orphans(8), 1u);
}

TEST_F(FileMemoList, IsFullAtItsLimitUntilCleared) {
  Key key = kUnlink;
  for (uint32_t i = 0; i < wire::kMaxFileMemos; ++i) {
    key.index = i;
    ASSERT_NE(answer(key, 0), nullptr);
  }
  key.index = wire::kMaxFileMemos;
  EXPECT_EQ(answer(key, 0), nullptr);
  EXPECT_EQ(memos_->overflow.load(), 1u);
  list_.clear();
  EXPECT_EQ(memos_->overflow.load(), 0u);
  EXPECT_NE(answer(key, 0), nullptr);
}

TEST_F(FileMemoList, IsFullWhenPayloadsRunOut) {
  Key key = kUnlink;
  constexpr uint32_t kPiece = 1 << 20;
  for (uint32_t used = 0; used < wire::kFileMemoBytes; used += kPiece) {
    ASSERT_NE(list_.claim(key, kPiece), nullptr);
  }
  EXPECT_EQ(list_.claim(key, 16), nullptr);
  // A small call after it fails as well: the followers rely on "full from then on".
  EXPECT_EQ(list_.claim(key, 0), nullptr);
}

TEST_F(FileMemoList, KeepsPayloadsApart) {
  FileMemo* first = list_.claim(kUnlink, 10);
  FileMemo* second = list_.claim(kUnlink, 10);
  std::memset(list_.payload_of(*first), 1, 10);
  std::memset(list_.payload_of(*second), 2, 10);
  EXPECT_EQ(list_.payload_of(*first)[9], 1);
  EXPECT_EQ(list_.payload_of(*second)[0], 2);
}

}  // namespace
}  // namespace evenkeel::kernel
