#include "runtime/host/bundle.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/host/refusal.h"
#include "runtime/host/report_file.h"
#include "runtime/host/state_file.h"
#include "tests/host/harness.h"
#include "tests/host/sample_report.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

class Bundles : public testing::Test {
 protected:
  // A state without memory: a header and a text.
  void SetUp() override {
    const std::string text = "{}";
    wire::StateHeader header{};
    header.magic = wire::kStateMagic;
    header.version = wire::kStateVersion;
    header.segments_offset = header.text_offset = sizeof header;
    header.text_bytes = text.size();
    header.file_bytes = sizeof header + text.size();
    std::ofstream out(state_, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&header), sizeof header);
    out << text;
    out.close();
    write_bundle(file_, test::sample_report(), state_);
  }

  [[nodiscard]] std::string refusal() const {
    try {
      static_cast<void>(read_bundled_report(file_));
    } catch (const Refusal& refusal) {
      return refusal.what();
    }
    return "";
  }

  test::TemporaryDirectory directory_;
  fs::path state_ = directory_.path() / "state";
  fs::path file_ = directory_.path() / "bundle";
};

TEST_F(Bundles, AreStatesWithTheirReportBehind) {
  EXPECT_EQ(read_bundled_report(file_).SerializeAsString(),
            test::sample_report().SerializeAsString());
  EXPECT_EQ(StateFile(file_).bytes(), fs::file_size(state_));
}

TEST_F(Bundles, TruncationIsNoticedWhereverItIs) {
  const uint64_t state = fs::file_size(state_);
  for (const uint64_t left : {fs::file_size(file_) - 1, state + 20, state - 1, uint64_t{5}}) {
    fs::resize_file(file_, left);
    EXPECT_NE(refusal(), "") << left;
  }
}

TEST_F(Bundles, ForeignFilesAreRefused) {
  std::ofstream(file_) << std::string(1000, 'x');
  EXPECT_NE(refusal().find("is not a bundle"), std::string::npos) << refusal();
  EXPECT_THROW(write_bundle(file_, test::sample_report(), file_), Refusal);
}

TEST_F(Bundles, WhatCannotBeWrittenIsRefusedAndLeavesNothing) {
  const fs::path there = directory_.path() / "none" / "x";
  EXPECT_THROW(write_bundle(there, test::sample_report(), state_), Refusal);
  // A device is not to be replaced by a file.
  const fs::path link = directory_.path() / "link";
  fs::create_symlink("/dev/null", link);
  EXPECT_THROW(write_bundle(link, test::sample_report(), state_), Refusal);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_FALSE(fs::exists(directory_.path() / "link.new"));
}

}  // namespace
}  // namespace evenkeel::host
