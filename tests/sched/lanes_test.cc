#include "runtime/sched/lanes.h"

#include <gtest/gtest.h>

#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using sched::Guard;
using sched::self;

constexpr wire::Channel kOne = wire::Channel{7} << wire::kChannelSlotBits | 1;
constexpr wire::Channel kTwo = wire::Channel{9} << wire::kChannelSlotBits | 2;
constexpr wire::Channel kBeyond = heap::kConnectionLanes;

void no_order() {}
void misuse(const char*, const void*) {}
void lost(const void*) {}
constexpr heap::Hooks kHooks{no_order, no_order, misuse, lost};

void open(std::initializer_list<wire::Channel> channels) {
  heap::init(kHooks);
  sched::init_lanes(true);
  for (const wire::Channel channel : channels) sched::prepare_lane(channel);
}

void borrow(wire::Channel channel) {
  Guard guard;
  sched::borrow_lane(channel);
}
bool in_lane_of(wire::Channel channel) {
  return self().lane == static_cast<uint32_t>(sched::lane_of(channel));
}
bool in_own_lane() { return self().lane == sched::index_of(self().id); }

TEST(Lanes, AThreadBorrowsTheLaneOfWhatItReadsUntilItReadsElsewhere) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              open({kOne, kTwo});
              REQUIRE_EQ(in_own_lane(), true);
              borrow(kOne);
              REQUIRE_EQ(in_lane_of(kOne), true);
              borrow(kTwo);
              REQUIRE_EQ(in_lane_of(kTwo), true);
              sched::return_lane_of(kOne);
              REQUIRE_EQ(in_lane_of(kTwo), true);
              sched::return_lane_of(kTwo);
              REQUIRE_EQ(in_own_lane(), true);
            }));
}

TEST(Lanes, ALaneIsOneThreadsAtATime) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              open({kOne});
              borrow(kOne);
              spawn([] {
                borrow(kOne);
                REQUIRE_EQ(in_own_lane(), true);
              });
              join_all();
              sched::return_lane();
              spawn([] {
                borrow(kOne);
                REQUIRE_EQ(in_lane_of(kOne), true);
              });
              join_all();  // it has ended with the lane
              borrow(kOne);
              REQUIRE_EQ(in_lane_of(kOne), true);
            }));
}

TEST(Lanes, AnnotatedRequestsKeepTheirs) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              open({kOne, kTwo});
              self().request_depth = 1;
              borrow(kOne);
              sched::return_lane();
              REQUIRE_EQ(in_own_lane(), true);
              self().request_depth = 0;
            }));
}

TEST(Lanes, ConnectionsWithoutALaneLeaveThreadsTheirs) {
  EXPECT_EQ(kPassed, run_replica({}, [] {
              open({kBeyond});
              borrow(kBeyond);
              REQUIRE_EQ(in_own_lane(), true);
              borrow(kOne);  // never opened: not prepared
              REQUIRE_EQ(in_own_lane(), true);
            }));
}

}  // namespace
}  // namespace evenkeel::test
