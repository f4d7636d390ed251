#include "runtime/host/mixer/learnt_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "runtime/host/mixer/explain.h"
#include "runtime/host/mixer/learnt_dialect.h"
#include "runtime/host/refusal.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

const auto kSameKey = Conflicts::pair_of({"incr", 1}, {"incr", 1});
const auto kBinary = Conflicts::pair_of({std::string("\x80\x00\"", 3), 0}, {"(closed)", 0});

class LearntFile : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "mixer.learnt"; }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::binary) << text; }
  Conflicts read() {
    Conflicts conflicts;
    complaint_.clear();
    read_learnt(path(), conflicts, complaint_);
    return conflicts;
  }
  void write_some() {
    Conflicts conflicts;
    conflicts.learn(kSameKey);
    for (uint64_t i = 0; i < Conflicts::kFirstLife; ++i) conflicts.next_batch();
    conflicts.learn(kSameKey);
    conflicts.learn(kBinary);
    ASSERT_TRUE(write_learnt(path(), conflicts));
  }

  test::TemporaryDirectory directory_;
  std::string complaint_;
};

TEST_F(LearntFile, KeepsEverything) {
  write_some();
  const Conflicts conflicts = read();
  EXPECT_EQ(complaint_, "");
  ASSERT_EQ(conflicts.all().size(), 2U);
  EXPECT_EQ(conflicts.all().at(kSameKey).confirmed, 2U);
  EXPECT_EQ(conflicts.batches_left(conflicts.all().at(kSameKey)), 2 * Conflicts::kFirstLife);
  EXPECT_EQ(conflicts.batches_left(conflicts.all().at(kBinary)), Conflicts::kFirstLife);
}

TEST_F(LearntFile, IsTheOwnersAlone) {
  write_some();
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(LearntFile, NoFileIsNoComplaint) {
  EXPECT_TRUE(read().all().empty());
  EXPECT_EQ(complaint_, "");
}

TEST_F(LearntFile, WhatCannotBeUsedTeachesNothing) {
  for (const char* text :
       {"garbage", "version: 2", "version: 1 conflict {", "conflict { confirmed: 1 }",
        "version: 1 conflict { first { kind: 'a' word: 1 } second { kind: 'b' } }",
        "version: 1 conflict { first { kind: 'a' word: 77 } second { kind: 'b' word: 1 } }"}) {
    write(text);
    EXPECT_TRUE(read().all().empty()) << text;
    EXPECT_NE(complaint_, "") << text;
  }
}

TEST_F(LearntFile, IsExplained) {
  write_some();
  const std::string text = explain(*learnt_dialect(path().string()), "incr a 1\r\nget a\r\n");
  EXPECT_NE(text.find("incr             writes incr 1/a"), std::string::npos) << text;
  EXPECT_NE(text.find("conflicts with nothing"), std::string::npos) << text;
  write("garbage");
  EXPECT_THROW(static_cast<void>(learnt_dialect(path().string())), Refusal);
}

}  // namespace
}  // namespace evenkeel::host
