// Which requests come into which group: by hand, and against a quadratic model.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "mixer/mixer.h"

namespace evenkeel::mixer {
namespace {

class GroupsOf : public testing::Test {
 protected:
  using Keys = std::vector<Key>;

  explicit GroupsOf(size_t slots = 4096) : slots_(slots), groups_(slots_) {}

  uint32_t add(const Keys& keys) { return groups_.add({.keys = keys}); }
  uint32_t add(uint64_t channel, const Keys& keys, bool together = true) {
    return groups_.add({.keys = keys, .channel = channel, .together = together});
  }
  uint32_t add_everything() { return groups_.add({.keys = {}, .everything = true}); }

  static Key read(uint64_t id) { return {id, Access::kRead}; }
  static Key write(uint64_t id) { return {id, Access::kWrite}; }
  static Key plus(uint64_t id) { return {id, Access::kAdd}; }
  static Key part(uint64_t id) { return {id, Access::kReadPart}; }

  std::vector<Groups::Slot> slots_;
  Groups groups_;
};

class GroupsTest : public GroupsOf {};

TEST_F(GroupsTest, ReadersShareAWriterDoesNot) {
  EXPECT_EQ(add({read(1)}), 0U);
  EXPECT_EQ(add({read(1)}), 0U);
  EXPECT_EQ(add({write(1)}), 1U);
  EXPECT_EQ(add({write(1)}), 2U);
  EXPECT_EQ(add({write(2)}), 0U);
  EXPECT_EQ(add({read(1), write(2)}), 3U);
  EXPECT_EQ(groups_.count(), 4U);
}

TEST_F(GroupsTest, AdditionsCommuteWithEachOtherOnly) {
  EXPECT_EQ(add({plus(1)}), 0U);
  EXPECT_EQ(add({plus(1)}), 0U);
  EXPECT_EQ(add({read(1)}), 1U);
  EXPECT_EQ(add({write(1)}), 2U);
  EXPECT_EQ(add({plus(1)}), 0U);
}

TEST_F(GroupsTest, RowsOfATableRunTogetherButNotWithTheWholeTable) {
  EXPECT_EQ(add({plus(9), write(1)}), 0U);
  EXPECT_EQ(add({plus(9), write(2)}), 0U);
  EXPECT_EQ(add({part(9), read(3)}), 0U);
  EXPECT_EQ(add({part(9), read(1)}), 1U);
  EXPECT_EQ(add({read(9)}), 1U);   // beside the reader of a row
  EXPECT_EQ(add({write(9)}), 2U);  // beside nobody
  EXPECT_EQ(add({part(9), read(4)}), 0U);
}

TEST_F(GroupsTest, FirstFitLooksBackPastTheLastConflict) {
  EXPECT_EQ(add({write(1)}), 0U);
  EXPECT_EQ(add({write(1), write(2)}), 1U);
  EXPECT_EQ(add({write(2)}), 0U);
}

TEST_F(GroupsTest, EverythingIsAlone) {
  EXPECT_EQ(add({write(1)}), 0U);
  EXPECT_EQ(add_everything(), 1U);
  EXPECT_EQ(add_everything(), 2U);
  EXPECT_EQ(add({write(1)}), 3U);
  EXPECT_EQ(add({}), 0U);
  EXPECT_EQ(add({write(2)}), 0U);
}

TEST_F(GroupsTest, AChannelKeepsItsOrder) {
  EXPECT_EQ(add(7, {write(1)}), 0U);
  EXPECT_EQ(add(7, {write(1)}), 1U);
  EXPECT_EQ(add(7, {write(2)}), 1U);  // would fit into 0
  EXPECT_EQ(add(8, {write(3)}), 0U);
  EXPECT_EQ(add(8, {write(3)}), 1U);
  EXPECT_EQ(add(7, {}, false), 2U);
  EXPECT_EQ(add(7, {}, true), 2U);
}

TEST_F(GroupsTest, NothingComesBeforeItsFirstGroup) {
  EXPECT_EQ(groups_.add({.keys = {}, .first_group = 3}), 3U);
  EXPECT_EQ(groups_.add({.keys = {}, .first_group = 100}), 100U);
  EXPECT_EQ(groups_.count(), 101U);
  EXPECT_EQ(add({write(1)}), 0U);
}

TEST_F(GroupsTest, AKeyMayBeRepeated) {
  EXPECT_EQ(add({read(1), write(1), read(1), write(1)}), 0U);
  EXPECT_EQ(add({read(1)}), 1U);
}

TEST_F(GroupsTest, ClearForgets) {
  EXPECT_EQ(add(7, {write(1)}), 0U);
  EXPECT_EQ(add_everything(), 1U);
  groups_.clear();
  EXPECT_EQ(groups_.count(), 0U);
  EXPECT_EQ(add(7, {write(1)}), 0U);
}

TEST_F(GroupsTest, ConflictsBeyondTheWindowGoOnInOrder) {
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(add({write(1)}), i);
  EXPECT_EQ(add({write(2)}), 0U);
  EXPECT_EQ(add_everything(), 1000U);
  EXPECT_EQ(add({read(1)}), 1001U);
}

class FewSlots : public GroupsOf {
 protected:
  FewSlots() : GroupsOf(16) {}  // ten usable
};

TEST_F(FewSlots, AFootprintThatDoesNotFitConflictsWithEverything) {
  Keys many;
  for (uint64_t i = 0; i < 10000; ++i) many.push_back(write(i));
  EXPECT_EQ(add({write(1)}), 0U);
  EXPECT_EQ(add(many), 1U);
  EXPECT_EQ(add({write(2)}), 0U);  // others still have room
  EXPECT_EQ(add(many), 2U);
}

TEST_F(FewSlots, ChannelsKeepTheirOrderEvenIfTheyDoNotFit) {
  std::map<uint64_t, uint32_t> last;
  for (uint64_t i = 0; i < 100; ++i) {
    const uint64_t channel = 1 + i % 40;
    const uint32_t group = add(channel, {});
    EXPECT_GE(group, last[channel]) << i;
    last[channel] = group;
  }
}

// ---- against a model that compares every request with every member of every group

struct Placed {
  std::vector<Key> keys;
  uint64_t channel;
  bool everything;
  uint32_t group;
};

bool conflicting(const Placed& a, const Placed& b) {
  if (a.everything || b.everything) return true;
  return std::any_of(a.keys.begin(), a.keys.end(), [&](const Key& x) {
    return std::any_of(b.keys.begin(), b.keys.end(),
                       [&](const Key& y) { return x.id == y.id && conflict(x.access, y.access); });
  });
}

uint32_t model_group(const std::vector<Placed>& placed, const Placed& request) {
  uint32_t group = 0;
  for (const Placed& other : placed) {
    if (other.channel == request.channel && request.channel != 0) {
      group = std::max(group, other.group);
    }
  }
  while (std::any_of(placed.begin(), placed.end(), [&](const Placed& other) {
    return other.group == group && conflicting(other, request);
  })) {
    ++group;
  }
  return group;
}

TEST_F(GroupsTest, AgreesWithTheModel) {
  std::minstd_rand random(4711);
  for (int round = 0; round < 200; ++round) {
    groups_.clear();
    std::vector<Placed> placed;
    const auto keys = static_cast<uint32_t>(1 + random() % 60);
    for (int i = 0; i < 60; ++i) {  // at most as many groups as the window has
      Placed request{{}, random() % 8, random() % 20 == 0, 0};
      for (auto k = random() % 4; k > 0; --k) {
        request.keys.push_back({1000 + random() % keys, static_cast<Access>(random() % kAccesses)});
      }
      request.group = model_group(placed, request);
      ASSERT_EQ(
          groups_.add(
              {.keys = request.keys, .channel = request.channel, .everything = request.everything}),
          request.group)
          << "round " << round << " request " << i;
      placed.push_back(std::move(request));
    }
  }
}

// Beyond the window first-fit is given up, but what must not run together never does.
TEST_F(GroupsTest, NeverPutsAConflictIntoOneGroup) {
  std::minstd_rand random(42);
  std::vector<Placed> placed;
  for (int i = 0; i < 600; ++i) {
    Placed request{{}, random() % 8, random() % 10 == 0, 0};
    for (auto k = random() % 3; k > 0; --k) {
      request.keys.push_back({random() % 5, static_cast<Access>(random() % kAccesses)});
    }
    request.group = groups_.add(
        {.keys = request.keys, .channel = request.channel, .everything = request.everything});
    for (const Placed& other : placed) {
      if (other.group == request.group) {
        ASSERT_FALSE(conflicting(other, request)) << i;
      }
      if (other.channel == request.channel && request.channel != 0) {
        ASSERT_LE(other.group, request.group) << i;
      }
    }
    placed.push_back(std::move(request));
  }
  EXPECT_GT(groups_.count(), 2 * Groups::kWindow);
}

}  // namespace
}  // namespace evenkeel::mixer
