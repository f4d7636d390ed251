#include "runtime/host/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/host/report_store.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

Report sample() {
  Report report;
  report.pid = 41207;
  report.batch = 118;
  report.server = "store";
  report.realtime_ns = 1'766'000'000'000'000'000;
  report.replicas = {{0, "quiescent", "aa", 3}, {2, "quiescent", "bb", 3}};
  report.differences = {{"heap block B3.5521, 96 bytes",
                         "",
                         0x1000,
                         16,
                         24,
                         {{{0, 1}, "00000000 0000002a"}, {{2}, "00000000 00000029"}}}};
  report.differing_pages = 4;
  report.differences_left_out = 2;
  report.inputs = {{0, "data", 1048576, 9, "incr k 1\\n"}};
  report.inputs_total = 3;
  report.actions = {"rolled back", "executed again"};
  report.outcome = "all agree";
  return report;
}

TEST(Report, TextHasTheFixedOrder) {
  EXPECT_EQ(render_text(sample()),
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
  const auto json = render_json(sample());
  EXPECT_EQ(json["kind"], "DIVERGENCE");
  EXPECT_EQ(json["differences"][0]["sides"][1]["replicas"], nlohmann::json({2}));
  EXPECT_EQ(json["inputs_total"], 3);
  EXPECT_EQ(json["summary"], "divergence in heap block B3.5521, 96 bytes");
}

TEST(Report, WhatIsUnknownIsSaidToBe) {
  Report report = sample();
  report.differences.clear();
  EXPECT_NE(render_text(report).find("nothing in memory or output that could be compared"),
            std::string::npos);
  report.forced = true;
  EXPECT_NE(render_text(report).find("--force-mismatch"), std::string::npos);
  report.pages_truncated = true;
  EXPECT_NE(render_text(report).find("there may be more"), std::string::npos);
}

TEST(ReportStore, ReportsOutliveTheRun) {
  const test::TemporaryDirectory directory;
  Report first = sample();
  Report second = sample();
  {
    ReportStore store(directory.path());
    store.name(first);
    store.name(second);
    store.save(second);
    store.save(first);
  }
  EXPECT_EQ(first.id, "41207-118");
  EXPECT_EQ(second.id, "41207-118-2");
  const ReportStore later(directory.path());
  EXPECT_EQ(later.ids().size(), 2U);
  EXPECT_EQ(later.read("41207-118", false), render_text(first));
  EXPECT_EQ(nlohmann::json::parse(later.read("41207-118-2", true))["id"], "41207-118-2");
  EXPECT_EQ(later.read("../../etc/passwd", false), "");
}

TEST(ReportStore, KeepsTheYoungest) {
  const test::TemporaryDirectory directory;
  ReportStore store(directory.path());
  for (uint64_t batch = 0; batch < ReportStore::kMaxReports + 10; ++batch) {
    Report report = sample();
    report.batch = batch;
    store.name(report);
    store.save(report);
  }
  EXPECT_EQ(ReportStore(directory.path()).ids().size(), ReportStore::kMaxReports);
  EXPECT_EQ(store.ids().front(), "41207-10");
  EXPECT_EQ(store.read("41207-9", false), "");
}

}  // namespace
}  // namespace evenkeel::host
