#include "runtime/host/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/host/privacy.h"
#include "tests/host/sample_report.h"

namespace evenkeel::host {
namespace {

using test::sample_report;

TEST(Report, TextHasTheFixedOrder) {
  EXPECT_EQ(render_text(sample_report()),
            "==evenkeel 41207== DIVERGENCE batch 118: replica 2 disagrees with 0,1\n"
            "  Differs: heap block B3.5521, 96 bytes, bytes [16,24)\n"
            "    replicas 0,1   00000000 0000002a\n"
            "    replica 2      00000000 00000029\n"
            "  [2 more differences left out; 4 pages differ]\n"
            "  Replica 0 (primary): quiescent, 3 pages changed, token aa\n"
            "  Replica 2: quiescent, 3 pages changed, token bb\n"
            "  Inputs of the batch: 3\n"
            "        0  data      channel 1048576          9 bytes  incr k 1\\n\n"
            "    [2 more left out]\n"
            "  When: 2025-12-17T19:33:20Z, server store\n"
            "  Action: rolled back; executed again\n"
            "  Outcome: all agree\n"
            "SUMMARY: evenkeel: divergence in heap block B3.5521, 96 bytes\n"
            "==evenkeel 41207== end\n");
}

TEST(Report, JsonSaysTheSame) {
  const auto json = render_json(sample_report());
  EXPECT_EQ(json["kind"], "DIVERGENCE");
  EXPECT_EQ(json["differences"][0]["sides"][1]["replicas"], nlohmann::json({2}));
  EXPECT_EQ(json["differences"][0]["sides"][1]["value"], "00000000 00000029");
  EXPECT_EQ(json["inputs_total"], 3);
  EXPECT_EQ(json["summary"], "divergence in heap block B3.5521, 96 bytes");
}

TEST(Report, WhatIsUnknownIsSaidToBe) {
  Report report = sample_report();
  report.clear_differences();
  EXPECT_NE(render_text(report).find("nothing in memory or output that could be compared"),
            std::string::npos);
  report.set_forced(true);
  EXPECT_NE(render_text(report).find("--force-mismatch"), std::string::npos);
  report.set_pages_truncated(true);
  EXPECT_NE(render_text(report).find("there may be more"), std::string::npos);
}

TEST(Privacy, FullKeepsEverything) {
  const Report report = withheld(sample_report(), record::FULL);
  EXPECT_EQ(report.SerializeAsString(), sample_report().SerializeAsString());
}

TEST(Privacy, ChangedKeepsOnlyWhatDiffers) {
  Report report = withheld(sample_report(), record::CHANGED);
  EXPECT_EQ(report.differences(0).values(1).data(), std::string("\0\0\0\0\0\0\0\x29", 8));
  EXPECT_EQ(report.inputs(0).payload(), "");
  EXPECT_EQ(report.inputs(0).bytes(), 9U);
  EXPECT_EQ(report.SerializeAsString().find("secret"), std::string::npos);
  const std::string text = render_text(report);
  EXPECT_NE(text.find("replica 2      00000000 00000029\n"), std::string::npos) << text;
  EXPECT_NE(text.find("9 bytes  [withheld: --report-bytes]"), std::string::npos) << text;
}

TEST(Privacy, NoneKeepsNoByte) {
  Report report = sample_report();
  record::Write& write = *report.mutable_diagnosis()->add_writes();
  write.set_old_bytes("secret");
  write.set_new_bytes("secret");
  *report.add_outputs() = report.differences(0);
  report = withheld(report, record::NONE);
  const std::string stored = report.SerializeAsString();
  EXPECT_EQ(stored.find("secret"), std::string::npos);
  EXPECT_EQ(stored.find("incr"), std::string::npos);
  EXPECT_EQ(report.differences(0).values(0).data(), "");
  EXPECT_EQ(report.outputs(0).values(0).data(), "");
  const std::string text = render_text(report);
  EXPECT_NE(text.find("replica 2      [withheld: --report-bytes]\n"), std::string::npos) << text;
  EXPECT_NE(text.find("bytes [16,24)"), std::string::npos) << text;
}

}  // namespace
}  // namespace evenkeel::host
