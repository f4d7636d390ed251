#include "runtime/guard/scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace evenkeel::test {
namespace {

using sched::Acquisition;

// One acquisition of a schedule, in the order in which they happened. Inputs and locks count
// from 1.
struct Step {
  uint32_t input;
  uint32_t lock = 1;
  bool shared = false;
  uint32_t thread = 0;  // 0: the input's own
};
using Schedule = std::vector<Step>;
using Sites = std::tuple<uint64_t, uint64_t, uint64_t>;  // numbers of steps, from 0

bool conflict(const Step& a, const Step& b) {
  return a.lock == b.lock && a.input != b.input && !(a.shared && b.shared);
}

// By definition: some serial order of whole inputs has all conflicting pairs in the same order.
bool serializable(const Schedule& schedule, uint32_t inputs) {
  std::vector<uint32_t> place(inputs + 1);
  std::iota(place.begin(), place.end(), 0U);
  do {
    bool same = true;
    for (size_t i = 0; i < schedule.size() && same; ++i) {
      for (size_t k = i + 1; k < schedule.size() && same; ++k) {
        same = !conflict(schedule[i], schedule[k]) ||
               place[schedule[i].input] < place[schedule[k].input];
      }
    }
    if (same) return true;
  } while (std::next_permutation(place.begin() + 1, place.end()));
  return false;
}

class Scan : public testing::Test {
 protected:
  // Distributes a schedule over carriers: each lists what it did in order. A step's number is its
  // call site.
  void record(const Schedule& schedule, uint32_t carriers, uint32_t first_version = 0) {
    records_.assign(carriers, {});
    std::map<uint32_t, uint32_t> versions;
    for (uint32_t i = 0; i < schedule.size(); ++i) {
      const Step& s = schedule[i];
      const uint32_t version = (first_version + versions[s.lock]++) & 0xff'ffff;
      const uint32_t thread = s.thread != 0 ? s.thread : s.input;
      records_[random_() % carriers].push_back(
          {0x1000 * uint64_t{s.lock}, i, s.input, 0, version, thread, s.shared ? 1U : 0U});
    }
  }

  std::set<Sites> scan() {
    std::vector<sched::AcquisitionLog> logs;
    for (auto& list : records_) {
      logs.push_back({list.data(), static_cast<uint32_t>(list.size()), full_});
    }
    std::vector<const sched::AcquisitionLog*> pointers;
    for (const auto& log : logs) pointers.push_back(&log);
    std::set<Sites> found;
    complete_ = guard::scan(
        pointers.data(), static_cast<uint32_t>(pointers.size()),
        [](void* context, const guard::Found& f) {
          static_cast<std::set<Sites>*>(context)->insert(
              {f.before.code, f.between.code, f.after.code});
        },
        &found);
    return found;
  }

  Schedule random_schedule(uint32_t steps, uint32_t inputs, uint32_t locks, bool readers) {
    Schedule schedule(steps);
    for (Step& s : schedule) {
      s = {1 + static_cast<uint32_t>(random_() % inputs),
           1 + static_cast<uint32_t>(random_() % locks), readers && random_() % 2 == 0};
    }
    return schedule;
  }

  std::mt19937 random_{20261122};
  std::vector<std::vector<Acquisition>> records_;
  bool full_ = false;
  bool complete_ = false;
};

TEST_F(Scan, NamesTheThreeSites) {
  record({{1}, {2}, {1}}, 2);
  EXPECT_EQ(scan(), (std::set<Sites>{{0, 1, 2}}));
  EXPECT_TRUE(complete_);
}

TEST_F(Scan, InputsAfterEachOtherAreFine) {
  record({{1}, {1}, {2}, {2}, {3}}, 3);
  EXPECT_TRUE(scan().empty());
}

TEST_F(Scan, EveryIntruderIsNamed) {
  record({{1}, {2}, {3}, {1}}, 2);
  EXPECT_EQ(scan(), (std::set<Sites>{{0, 1, 3}, {0, 2, 3}}));
}

TEST_F(Scan, OtherLocksDoNotMatter) {
  record({{1, 1}, {2, 2}, {1, 1}, {2, 2}}, 2);
  EXPECT_TRUE(scan().empty());
}

TEST_F(Scan, ReadersDisturbWritersOnBothSidesOnly) {
  const Step reads_a{1, 1, true};
  const Step reads_b{2, 1, true};
  const Step writes_a{1};
  record({reads_a, reads_b, reads_a}, 2);
  EXPECT_TRUE(scan().empty());
  record({reads_a, reads_b, writes_a}, 2);
  EXPECT_TRUE(scan().empty());
  record({writes_a, reads_b, reads_a, writes_a}, 2);
  EXPECT_EQ(scan(), (std::set<Sites>{{0, 1, 3}}));
}

// A thread that turns from one connection to another and back does so by its own will.
TEST_F(Scan, OneThreadDoesNotInterruptItself) {
  record({{1, 1, false, 7}, {2, 1, false, 7}, {1, 1, false, 7}, {3, 1, false, 8}}, 2);
  EXPECT_TRUE(scan().empty());
}

TEST_F(Scan, FindsExactlyWhatIsNotSerializableByOneLock) {
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    const uint32_t inputs = 2 + static_cast<uint32_t>(random_() % 3);
    const Schedule s = random_schedule(static_cast<uint32_t>(random_() % 8), inputs, 1, false);
    record(s, 3, 0xff'fffd);  // the version wraps around within the group
    const bool suspect = !scan().empty();
    ASSERT_EQ(suspect, !serializable(s, inputs)) << "round " << round;
    found += suspect ? 1 : 0;
  }
  EXPECT_GT(found, 1000);
  EXPECT_LT(found, 19000);
}

TEST_F(Scan, FindsExactlyWhatIsNotSerializableByOneRwlockOfTwoInputs) {
  for (int round = 0; round < 20000; ++round) {
    const Schedule s = random_schedule(static_cast<uint32_t>(random_() % 8), 2, 1, true);
    record(s, 2);
    ASSERT_EQ(scan().empty(), serializable(s, 2)) << "round " << round;
  }
}

TEST_F(Scan, WhatItFindsIsNeverSerializable) {
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    const Schedule s = random_schedule(3 + static_cast<uint32_t>(random_() % 6), 4, 3, true);
    record(s, 4);
    if (scan().empty()) continue;
    ++found;
    ASSERT_FALSE(serializable(s, 4)) << "round " << round;
  }
  EXPECT_GT(found, 1000);
}

TEST_F(Scan, AFullLogIsNotWhollyChecked) {
  full_ = true;
  record({{1}, {2}, {1}}, 1);
  EXPECT_EQ(scan().size(), 1U);
  EXPECT_FALSE(complete_);
}

TEST_F(Scan, TooManyAcquisitionsAreNotChecked) {
  record(Schedule(guard::kMaxScanned + 1, Step{1}), 3);
  scan();
  EXPECT_FALSE(complete_);
  record(random_schedule(guard::kMaxScanned, 1000, 100, false), 3);
  EXPECT_FALSE(scan().empty());
}

// Two inputs that take turns at one lock: windows are short, however many there are.
TEST_F(Scan, ALongAlternationIsLinear) {
  Schedule s(guard::kMaxScanned);
  for (uint32_t i = 0; i < s.size(); ++i) s[i].input = 1 + i % 2;
  record(s, 2);
  EXPECT_EQ(scan().size(), guard::kMaxScanned - 2);
  EXPECT_TRUE(complete_);
}

}  // namespace
}  // namespace evenkeel::test
