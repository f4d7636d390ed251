#include "runtime/host/report_html.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "runtime/host/html.h"
#include "runtime/host/report_file.h"
#include "runtime/host/status_page.h"
#include "tests/host/harness.h"
#include "tests/host/sample_report.h"

namespace evenkeel::host {
namespace {

using test::sample_report;

constexpr char kAttack[] = "<script>alert('1')</script>\" onload=\"x";

size_t count(const std::string& text, const std::string& piece) {
  size_t n = 0;
  for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++n;
  return n;
}

Report with_operations() {
  Report report = sample_report();
  for (uint32_t id = 1; id <= 3; ++id) {
    record::Thread& thread = *report.add_threads();
    thread.set_id(id);
    for (uint64_t i = 0; i < id * 2; ++i) {
      record::Operation& operation = *thread.add_operations();
      operation.set_index(i);
      operation.set_tag(static_cast<uint32_t>(i % 3 + 1));
      operation.set_version(static_cast<uint32_t>(40 + i));
    }
  }
  return report;
}

TEST(Html, EscapesMarkupAndControlBytes) {
  EXPECT_EQ(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escaped(std::string("a\0b\x1b", 4)), "a b ");
}

TEST(ReportHtml, ShowsWhatTheTextShows) {
  const std::string html = render_html(sample_report());
  for (const char* piece :
       {"DIVERGENCE", "replica 2 disagrees with 0,1", "heap block B3.5521, 96 bytes, bytes [16,24)",
        "incr k 1\\n", "rolled back; executed again", "all agree"}) {
    EXPECT_NE(html.find(piece), std::string::npos) << piece;
  }
  // One byte differs: marked once as a number and once as a character, on each side.
  EXPECT_EQ(count(html, "<mark>"), 4U);
  EXPECT_NE(html.find("<mark>29</mark>"), std::string::npos);
}

TEST(ReportHtml, IsOneFileWithoutScripts) {
  const std::string html = render_html(with_operations());
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find(" src="), std::string::npos);
  EXPECT_EQ(html.find("href="), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
}

TEST(ReportHtml, NothingFromTheServerIsMarkup) {
  Report report = with_operations();
  report.mutable_inputs(0)->set_payload(kAttack);
  report.mutable_inputs(0)->set_kind("data");
  report.mutable_run()->set_name(kAttack);
  report.mutable_run()->set_server(kAttack);
  report.set_outcome(kAttack);
  report.mutable_replicas(0)->set_status(kAttack);
  report.mutable_differences(0)->mutable_values(0)->set_data(kAttack);
  *report.add_outputs() = report.differences(0);
  report.mutable_outputs(0)->mutable_object()->set_kind(record::Object::OUTPUT);
  record::Object& global = *report.mutable_differences(0)->mutable_object();
  global.set_kind(record::Object::GLOBAL);
  global.set_symbol(kAttack);
  record::Frame& frame = *report.mutable_threads(0)->mutable_stack()->add_frames();
  frame.set_symbol(kAttack);
  frame.add_locations()->set_function(kAttack);
  report.mutable_threads(0)->set_state(kAttack);
  record::Operation& operation = *report.mutable_threads(0)->mutable_operations(0);
  operation.set_place(kAttack);
  report.mutable_diagnosis()->set_note(kAttack);
  report.add_modules()->set_path(kAttack);
  const std::string html = render_html(report);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("\" onload"), std::string::npos);
}

TEST(ReportHtml, TimelineHasALaneForEachThreadAndABoxForEachOperation) {
  const std::string svg = timeline_html(with_operations());
  EXPECT_EQ(count(svg, "<rect"), 2U + 4U + 6U);
  for (const char* lane : {">T1<", ">T2<", ">T3<"}) EXPECT_EQ(count(svg, lane), 1U);
  EXPECT_NE(svg.find("none was recorded"), std::string::npos);
  EXPECT_EQ(timeline_html(sample_report()), "");
}

TEST(StatusPage, ShowsCountersAndReportsButNoBytes) {
  Metrics metrics;
  metrics.name = kAttack;
  metrics.stats.batches = 1234567;
  metrics.replicas = {{0, true, true, 1 << 20}};
  ReportRow row;
  row.id = "41207-118";
  row.summary = kAttack;
  row.count = 42;
  const std::string html = status_page(metrics, {row}, "");
  EXPECT_EQ(html.find("<script"), std::string::npos);
  for (const char* piece : {"1234567", "41207-118", ">42<", "primary"}) {
    EXPECT_NE(html.find(piece), std::string::npos) << piece;
  }
  EXPECT_NE(status_page(metrics, {}, "no <b> there").find("no &lt;b&gt; there"), std::string::npos);
}

// In a real browser, if there is one: the picture is the test's output.
TEST(ReportHtml, ABrowserShowsIt) {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0) GTEST_SKIP() << "no chromium";
  const test::TemporaryDirectory directory;
  const auto page = directory.path() / "report.html";
  const auto picture = std::filesystem::temp_directory_path() / "evenkeel-report.png";
  std::filesystem::remove(picture);
  write_whole(page, render_html(with_operations()), Durability::kProcess);
  const std::string command =
      "timeout 60 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars "
      "--user-data-dir='" +
      (directory.path() / "profile").string() + "' --window-size=1120,1600 --screenshot='" +
      picture.string() + "' 'file://" + page.string() + "' >/dev/null 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  EXPECT_GT(std::filesystem::file_size(picture), 20'000U);
  RecordProperty("picture", picture.string());
}

}  // namespace
}  // namespace evenkeel::host
