#include "runtime/host/waits.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/host/report.h"

namespace evenkeel::host {
namespace {

using wire::WaitKind;

record::Wait mutex_wait() {
  record::Wait wait;
  wait.set_thread(3);
  wait.set_kind(static_cast<uint32_t>(WaitKind::kMutex));
  wait.set_object(0x404080);
  wait.set_place("global a in bank, 40 bytes");
  wait.set_owner(5);
  return wait;
}

TEST(Waits, AreSaidInOneSentence) {
  record::Wait wait = mutex_wait();
  EXPECT_EQ(wait_text(wait),
            "T3 waits for mutex global a in bank, 40 bytes (0x404080), held by T5");
  wait.clear_place();
  wait.set_owner_exited(true);
  EXPECT_EQ(wait_text(wait), "T3 waits for mutex 0x404080, held by T5, which has exited");
  wait.set_kind(static_cast<uint32_t>(WaitKind::kCondition));
  wait.clear_owner();
  wait.set_owner_exited(false);
  wait.set_earlier(true);
  EXPECT_EQ(wait_text(wait), "T3 waits for condition variable 0x404080 (since before this batch)");
  wait.set_kind(static_cast<uint32_t>(WaitKind::kJoin));
  wait.set_owner(2);
  wait.set_earlier(false);
  EXPECT_EQ(wait_text(wait), "T3 waits for the end of T2");
}

TEST(Waits, OfTheDeckAreBounded) {
  wire::Waits waits{};
  waits.count = UINT32_MAX;
  waits.wait[0].kind = static_cast<WaitKind>(99);
  const auto views = view_waits(waits);
  ASSERT_EQ(views.size(), static_cast<int>(wire::kMaxWaits));
  EXPECT_NE(wait_text(views[0]).find("something"), std::string::npos);
}

TEST(Waits, MakeTheReportOfADeadlock) {
  Report report;
  report.set_kind(record::DEADLOCK);
  report.mutable_run()->set_pid(41);
  report.set_batch(7);
  *report.add_waits() = mutex_wait();
  record::Wait& back = *report.add_waits();
  back = mutex_wait();
  back.set_thread(5);
  back.set_object(0x4040c0);
  back.clear_place();
  back.set_owner(3);
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
