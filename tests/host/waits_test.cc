#include "runtime/host/waits.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/host/report.h"

namespace evenkeel::host {
namespace {

using wire::WaitKind;

WaitView mutex_wait() {
  return {3, WaitKind::kMutex, 0x404080, "global a in bank, 40 bytes", 5, false, false};
}

TEST(Waits, AreSaidInOneSentence) {
  WaitView wait = mutex_wait();
  EXPECT_EQ(wait_text(wait),
            "T3 waits for mutex global a in bank, 40 bytes (0x404080), held by T5");
  wait.place.clear();
  wait.owner_exited = true;
  EXPECT_EQ(wait_text(wait), "T3 waits for mutex 0x404080, held by T5, which has exited");
  wait.kind = WaitKind::kCondition;
  wait.owner = wire::kNoThread;
  wait.owner_exited = false;
  wait.earlier = true;
  EXPECT_EQ(wait_text(wait), "T3 waits for condition variable 0x404080 (since before this batch)");
  EXPECT_EQ(wait_text({1, WaitKind::kJoin, 0x9000, {}, 2, false, false}),
            "T1 waits for the end of T2");
}

TEST(Waits, OfTheDeckAreBounded) {
  wire::Waits waits{};
  waits.count = UINT32_MAX;
  waits.wait[0].kind = static_cast<WaitKind>(99);
  const auto views = view_waits(waits);
  ASSERT_EQ(views.size(), wire::kMaxWaits);
  EXPECT_NE(wait_text(views[0]).find("something"), std::string::npos);
}

TEST(Waits, MakeTheReportOfADeadlock) {
  Report report;
  report.kind = ReportKind::kDeadlock;
  report.pid = 41;
  report.batch = 7;
  report.waits = {mutex_wait(), {5, WaitKind::kMutex, 0x4040c0, "", 3, false, false}};
  const std::string text = render_text(report);
  EXPECT_EQ(text.find("==evenkeel 41== DEADLOCK batch 7: T3 waits for mutex global a in bank"), 0u)
      << text;
  EXPECT_NE(text.find("  Waits: T5 waits for mutex 0x4040c0, held by T3\n"), std::string::npos);
  EXPECT_NE(text.find("SUMMARY: evenkeel: deadlock at global a in bank, 40 bytes\n"),
            std::string::npos);
  EXPECT_EQ(text.find("Differs"), std::string::npos);
  const auto json = render_json(report);
  EXPECT_EQ(json["waits"][0]["owner"], 5);
  EXPECT_EQ(json["waits"][0]["kind"], "mutex");
}

}  // namespace
}  // namespace evenkeel::host
