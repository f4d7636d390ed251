#include "runtime/host/doctor.h"

#include <gtest/gtest.h>

#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

TEST(Doctor, WhatIsMissingHasARemedy) {
  const auto findings = examine_machine();
  EXPECT_GE(findings.size(), 8U);
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.state.empty()) << finding.what;
    EXPECT_EQ(finding.good, finding.remedy.empty()) << finding.what;
  }
}

TEST(Doctor, OnlyARequiredFindingPreventsRunning) {
  EXPECT_TRUE(print_findings({{"a", "yes", true, true, ""}, {"b", "no", false, false, "get b"}}));
  EXPECT_FALSE(print_findings({{"a", "no", false, true, "get a"}}));
}

TEST(Doctor, ExitStatusFollowsTheFindings) {
  const auto asked = test::evenkeel({"doctor"});
  const bool can_run = asked.output.find("evenkeel can run here") != std::string::npos;
  EXPECT_EQ(asked.status, can_run ? 0 : 1);
  EXPECT_NE(asked.output.find("page tracker"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::host
