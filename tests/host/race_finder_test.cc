#include "runtime/host/race_finder.h"

#include <gtest/gtest.h>

namespace evenkeel::host {
namespace {

constexpr uint64_t kLoad = 10;
constexpr uint64_t kStore = 20;
constexpr uint64_t kOther = 30;

Touch read(uint32_t thread, uint64_t site) { return {0, false, site, {thread, 0, {}}}; }
Touch write(uint32_t thread, uint64_t site) { return {0, true, site, {thread, 0, {}}}; }

TEST(RaceFinder, FindsTheStoreBetweenLoadAndStore) {
  const RecordedOrder order;
  RaceFinder races(order);
  races.add({read(1, kLoad), read(2, kLoad), write(2, kStore), write(1, kStore)}, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_EQ(race->first, kLoad);
  EXPECT_EQ(race->second, kStore);
}

// Nothing orders the two: a race, even if all went well.
TEST(RaceFinder, NamesWhatIsUnorderedInExecutionsThatCameOutRight) {
  const RecordedOrder order;
  RaceFinder races(order);
  races.add({read(1, kLoad), write(2, kStore), write(1, kStore)}, false);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_TRUE(race->concurrent);
  EXPECT_EQ(race->failed, 0u);
}

TEST(RaceFinder, KnowsNothingOfLockedSectionsThatCameOutRight) {
  const RecordedOrder order;
  RaceFinder races(order);
  const auto locked = [](Touch touch) {
    touch.moment.locks = {0x1000};
    return touch;
  };
  races.add({locked(read(1, kLoad)), locked(write(2, kStore)), locked(write(1, kStore))}, false);
  EXPECT_FALSE(races.find());
}

// What a lock keeps apart did not race, however often it was there when something went wrong.
TEST(RaceFinder, PrefersWhatNothingOrders) {
  const RecordedOrder order;
  RaceFinder races(order);
  std::vector<Touch> touches{read(1, kOther), write(2, kOther), write(1, kOther)};
  for (Touch& touch : touches) {
    touch.word = 7;
    touch.moment.locks = {0x1000};
  }
  races.add(touches, true);
  touches.insert(touches.end(), {read(1, kLoad), write(2, kStore)});
  races.add(touches, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_EQ(race->first, kLoad);
  EXPECT_EQ(race->second, kStore);
}

// Two sections under a lock each, in any order, are in both; what is in the failed ones alone wins.
TEST(RaceFinder, PrefersWhatOnlyFailuresHave) {
  const RecordedOrder order;
  RaceFinder races(order);
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
  const RecordedOrder order;
  RaceFinder races(order);
  races.add({write(1, kStore), read(2, kLoad)}, true);
  const auto race = races.find();
  ASSERT_TRUE(race);
  EXPECT_TRUE(race->serializable);
  EXPECT_EQ(race->first, kStore);
  EXPECT_EQ(race->second, kLoad);
}

TEST(RaceFinder, OneThreadAloneDoesNotRace) {
  const RecordedOrder order;
  RaceFinder races(order);
  races.add({read(1, kLoad), write(1, kStore), read(1, kLoad)}, true);
  EXPECT_FALSE(races.find());
}

TEST(RaceFinder, DifferentBytesDoNotConflict) {
  const RecordedOrder order;
  RaceFinder races(order);
  races.add({write(1, kStore), {1, true, kStore, {2, 0, {}}}, read(1, kLoad)}, true);
  EXPECT_FALSE(races.find());
}

}  // namespace
}  // namespace evenkeel::host
