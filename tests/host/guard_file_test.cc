#include "runtime/host/guard_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

StoredSite site(uint64_t offset) { return {{"/usr/bin/server", "abcd", offset}, 88}; }

const GuardRecord kRecord{true,
                          {{site(1), site(2), site(3), 0, false, true},
                           {site(0x7fff'ffff'ffff), site(2), site(2), 3, true, false}}};

class GuardFile : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "guard.json"; }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::binary) << text; }
  GuardRecord read() {
    complaint_.clear();
    return read_guard_file(path(), complaint_);
  }

  test::TemporaryDirectory directory_;
  std::string complaint_;
};

TEST_F(GuardFile, KeepsEverything) {
  ASSERT_TRUE(write_guard_file(path(), kRecord));
  const GuardRecord read_back = read();
  EXPECT_EQ(complaint_, "");
  EXPECT_TRUE(read_back.answers_changed);
  ASSERT_EQ(read_back.interleavings.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    const StoredInterleaving& wanted = kRecord.interleavings[i];
    const StoredInterleaving& got = read_back.interleavings[i];
    EXPECT_EQ(got.before.place, wanted.before.place);
    EXPECT_EQ(got.between.place, wanted.between.place);
    EXPECT_EQ(got.after.place, wanted.after.place);
    EXPECT_EQ(got.before.depth, 88U);
    EXPECT_EQ(got.unlearnt, wanted.unlearnt);
    EXPECT_EQ(got.convicted, wanted.convicted);
    EXPECT_EQ(got.learnt, wanted.learnt);
  }
}

TEST_F(GuardFile, NoFileIsNoComplaint) {
  EXPECT_TRUE(read().interleavings.empty());
  EXPECT_EQ(complaint_, "");
}

TEST_F(GuardFile, ATruncatedFileIsIgnoredAsAWhole) {
  ASSERT_TRUE(write_guard_file(path(), kRecord));
  const std::string text = test::read_file(path());
  for (size_t bytes = 0; bytes + 2 < text.size(); bytes += 7) {  // the end is "}\n"
    write(text.substr(0, bytes));
    const GuardRecord record = read();
    ASSERT_EQ(complaint_, "it is damaged") << bytes;
    ASSERT_TRUE(record.interleavings.empty());
    ASSERT_FALSE(record.answers_changed);
  }
}

TEST_F(GuardFile, ForeignFilesAreNamedAsSuch) {
  write(R"({"format": "somebody-else", "version": 1})");
  read();
  EXPECT_EQ(complaint_, "it is another program's");
  write("\x7f\x45LF");
  read();
  EXPECT_EQ(complaint_, "it is damaged");
  write("[]");
  read();
  EXPECT_EQ(complaint_, "it is damaged");
}

TEST_F(GuardFile, AnotherVersionIsNotGuessedAt) {
  write(R"({"format": "evenkeel-guard", "version": 0, "interleavings": []})");
  read();
  EXPECT_EQ(complaint_, "its format is version 0, not 1");
}

TEST_F(GuardFile, WrongTypesAreDamage) {
  write(R"({"format": "evenkeel-guard", "version": 1, "answers_changed": false,
            "interleavings": [{"before": 1}]})");
  EXPECT_TRUE(read().interleavings.empty());
  EXPECT_EQ(complaint_, "it is damaged");
}

TEST_F(GuardFile, AFileThatCannotBeWrittenIsSaid) {
  EXPECT_FALSE(write_guard_file(directory_.path() / "none" / "guard.json", kRecord));
}

}  // namespace
}  // namespace evenkeel::host
