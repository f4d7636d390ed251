// The kernel refuses: each system call of the preloaded library fails in turn, in the primary and
// in a follower, while the server starts and while it serves.
//
// One run finds the places in the library's code from which replicas call the kernel, and how
// often; then each is run again with one call refused: the first, one in the middle, or all from
// the first on. Prints a table of places and outcomes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "tests/faults/scenario.h"

namespace evenkeel::test {
namespace {

uint64_t setting(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Words with(const Words& first, const Words& second) {
  Words both = first;
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

const Words kDaemon{"-d", "-P", "{pidfile}"};

std::vector<Scenario> scenarios() {
  const Words plain{};
  const Words mprotect{"--tracker", "mprotect"};
  const Words rollback{"--force-mismatch", "2"};
  return {
      {"serve", Kind::kService, plain, kvstore_command()},
      {"serve, mprotect", Kind::kService, mprotect, kvstore_command()},
      {"roll back", Kind::kService, rollback, kvstore_command()},
      {"roll back, mprotect", Kind::kService, with(rollback, mprotect), kvstore_command()},
      {"memcached", Kind::kDaemon, plain, memcached_command(kDaemon)},
      {"files", Kind::kProgram, plain, {EVENKEEL_BIN_DIR "/conformance_files_test"}},
      {"leaks", Kind::kProgram, plain, {EVENKEEL_BIN_DIR "/faults_leaky_program"}},
      {"launch", Kind::kService, plain, kvstore_command(), true},
  };
}

// The replicas' calls, or those of the process that becomes the coordinator.
std::vector<Refused> cases_of(const Interceptor::CallCounts& calls, bool launch) {
  std::vector<Refused> cases;
  for (const auto& [kind, count] : calls) {
    if ((kind.replica == kNoReplica) != launch) continue;
    cases.push_back({kind, 1, false});
    if (count > 2) cases.push_back({kind, count / 2 + 1, false});
    if (count > 1) cases.push_back({kind, 1, true});
  }
  return cases;
}

const char* name_of_victim(uint32_t replica) {
  if (replica == kNoReplica) return "launch";
  return replica == 0 ? "primary" : "follow";
}

std::string describe(const Refused& refused, const std::string& place) {
  return fmt::format("{:7} {:8} {:22} {:44} {:>6}", name_of_victim(refused.kind.replica),
                     refused.kind.phase == Phase::kStarting ? "starting" : "serving",
                     name_of_call(refused.kind.site), place,
                     refused.for_ever ? "ever" : std::to_string(refused.nth));
}

class Faults : public testing::TestWithParam<Scenario> {};

std::string name_of(const testing::TestParamInfo<Scenario>& parameter) {
  std::string name = parameter.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, Faults, testing::ValuesIn(scenarios()), name_of);

TEST_P(Faults, EachIsSurvivedOrSaid) {
  const Library library(EVENKEEL_LIB_DIR "/libevenkeel.so");
  const Seen learnt = play(GetParam(), library, std::nullopt);
  ASSERT_TRUE(learnt.complete && judge(learnt).good) << judge(learnt).text << learnt.messages;
  ASSERT_EQ(learnt.ending, (Ending{.status = 0})) << learnt.messages;
  const std::vector<Refused> cases = cases_of(learnt.calls, GetParam().preload);
  std::vector<CallSite> sites;
  for (const Refused& one : cases) sites.push_back(one.kind.site);
  const std::vector<std::string> places = library.places_of(sites);
  ASSERT_FALSE(cases.empty());
  const size_t first = setting("EVENKEEL_TEST_FAULT_FIRST", 0);
  const size_t last = std::min(setting("EVENKEEL_TEST_FAULT_LAST", UINT64_MAX), cases.size() - 1);
  size_t played = 0;
  size_t reached = 0;
  for (size_t i = first; i <= last; i += setting("EVENKEEL_TEST_FAULT_STRIDE", 1)) {
    const Seen seen = play(GetParam(), library, cases[i]);
    const Verdict verdict = judge(seen);
    ++played;
    reached += seen.refusals == 0 ? 0 : 1;
    fmt::print("{:3} {} {}{}\n", i, describe(cases[i], places[i]),
               seen.refusals == 0 ? "(not reached) " : "", verdict.text);
    std::fflush(stdout);
    EXPECT_TRUE(verdict.good) << verdict.text << "\n"
                              << seen.messages << "repeat: EVENKEEL_TEST_FAULT_FIRST=" << i
                              << " EVENKEEL_TEST_FAULT_LAST=" << i << " faults_test --gtest_filter="
                              << testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  fmt::print("{} of {} places and ways; {} were met again\n", played, cases.size(), reached);
  // Whose turn a call is depends on timing, but only of few.
  EXPECT_GE(reached * 10, played * 8);
}

// ---- the judge

Seen served() {
  Seen seen;
  seen.complete = true;
  seen.ending = {.status = 0};
  return seen;
}

Seen ended(const Ending& ending, const char* messages) {
  Seen seen;
  seen.ending = ending;
  seen.messages = messages;
  return seen;
}

TEST(Judge, AcceptsServiceAndEndsThatSayWhy) {
  EXPECT_TRUE(judge(served()).good);
  EXPECT_TRUE(judge(ended({.status = 2}, "evenkeel: no memory file: EMFILE\n")).good);
  EXPECT_TRUE(judge(ended({.status = -1, .signal = SIGILL}, "FATAL evenkeel: x errno=1\n")).good);
  Seen goes_on = served();
  goes_on.messages =
      "FATAL evenkeel: x errno=1\nevenkeel: replica 1 died; going on with 1 replica\n";
  EXPECT_TRUE(judge(goes_on).good);
}

TEST(Judge, RefusesWhatClientsOrOperatorsMustNotSee) {
  Seen wrong = served();
  wrong.wrong = "get a -> b";
  EXPECT_FALSE(judge(wrong).good);
  Seen late = served();
  late.in_time = false;
  EXPECT_FALSE(judge(late).good);
  Seen unexplained = served();
  unexplained.messages = "evenkeel: replica 1 was killed; going on with 1 replica\n";
  EXPECT_FALSE(judge(unexplained).good);
  EXPECT_FALSE(judge(ended({.status = -1, .signal = SIGSEGV}, "")).good);
  EXPECT_FALSE(judge(ended({.status = 0}, "evenkeel: something\n")).good) << "no success";
  const char* const bare = "FATAL evenkeel: fault inside the runtime signal=11\n";
  EXPECT_FALSE(judge(ended({.status = -1, .signal = SIGSEGV}, bare)).good);
}

}  // namespace
}  // namespace evenkeel::test
