#include "runtime/host/race_finder.h"

#include <gtest/gtest.h>

namespace evenkeel::host {
namespace {

constexpr uint64_t kLoad = 10;
constexpr uint64_t kStore = 20;
constexpr uint64_t kOther = 30;

Touch read(uint32_t thread, uint64_t site) { return {thread, 0, false, site}; }
Touch write(uint32_t thread, uint64_t site) { return {thread, 0, true, site}; }

TEST(RaceFinder, FindsTheStoreBetweenLoadAndStore) {
  RaceFinder races;
  races.add({read(1, kLoad), read(2, kLoad), write(2, kStore), write(1, kStore)}, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_EQ(race->first, kLoad);
  EXPECT_EQ(race->second, kStore);
}

TEST(RaceFinder, KnowsNothingOfExecutionsThatCameOutRight) {
  RaceFinder races;
  races.add({read(1, kLoad), write(2, kStore), write(1, kStore)}, false);
  EXPECT_FALSE(races.find());
}

// Two sections under a lock each, in any order, are in both; what is in the failed ones alone wins.
TEST(RaceFinder, PrefersWhatOnlyFailuresHave) {
  RaceFinder races;
  const std::vector<Touch> harmless{write(1, kOther), write(2, kOther), read(1, kOther)};
  for (int i = 0; i < 3; ++i) races.add(harmless, false);
  std::vector<Touch> failure = harmless;
  failure.insert(failure.end(), {read(1, kLoad), write(2, kStore), write(1, kStore)});
  races.add(failure, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_EQ(race->first, kLoad);
  EXPECT_EQ(race->second, kStore);
}

TEST(RaceFinder, FallsBackOnAMereConflict) {
  RaceFinder races;
  races.add({write(1, kStore), read(2, kLoad)}, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_TRUE(race->serializable);
  EXPECT_EQ(race->first, kStore);
  EXPECT_EQ(race->second, kLoad);
}

TEST(RaceFinder, OneThreadAloneDoesNotRace) {
  RaceFinder races;
  races.add({read(1, kLoad), write(1, kStore), read(1, kLoad)}, true);
  EXPECT_FALSE(races.find());
}

TEST(RaceFinder, DifferentBytesDoNotConflict) {
  RaceFinder races;
  races.add({{1, 0, true, kStore}, {2, 1, true, kStore}, {1, 0, false, kLoad}}, true);
  EXPECT_FALSE(races.find());
}

}  // namespace
}  // namespace evenkeel::host
