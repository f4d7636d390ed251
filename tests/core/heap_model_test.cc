// The heap against a model: random calls by several lanes, every byte and every overlap checked.
// EVENKEEL_SEED=n repeats one seed.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "tests/core/heap_fixture.h"

namespace evenkeel::heap {
namespace {

constexpr uint32_t kLanes = 4;

class HeapModel : public HeapTest {
 protected:
  struct Live {
    size_t bytes;
    unsigned char fill;
    LaneId lane;
  };

  uint64_t pick(uint64_t below) { return random_() % below; }
  LaneId any_lane() { return LaneId{static_cast<uint32_t>(pick(kLanes))}; }
  size_t any_size() {
    switch (pick(16)) {
      case 0:
        return pick(3 << 20);
      case 1:
      case 2:
        return pick(100000);
      case 3:
      case 4:
      case 5:
        return pick(9000);
      default:
        return pick(300);
    }
  }

  void insert(void* object, size_t bytes, LaneId lane) {
    const size_t usable = usable_bytes(object);
    ASSERT_GE(usable, bytes);
    const auto next = live_.lower_bound(address(object));
    if (next != live_.end()) {
      ASSERT_GE(next->first, address(object) + usable);
    }
    if (next != live_.begin()) {
      const auto& [base, previous] = *std::prev(next);
      ASSERT_LE(base + previous.bytes, address(object));
    }
    const auto fill = static_cast<unsigned char>(1 + pick(255));
    std::memset(object, fill, usable);
    live_[address(object)] = {usable, fill, lane};
  }

  void check_fill(uint64_t base, const Live& object, size_t bytes) {
    const auto* const at = reinterpret_cast<const unsigned char*>(base);
    ASSERT_EQ(at[0], object.fill);
    ASSERT_EQ(std::memcmp(at, at + 1, bytes - 1), 0);
  }

  std::map<uint64_t, Live>::iterator any_live() {
    auto it = live_.lower_bound(kHeapArena.begin + pick(kLanes + 4) * kSegmentBytes +
                                pick(pick(2) == 0 ? kSegmentBytes : 1 << 21));
    return it == live_.end() ? live_.begin() : it;
  }

  void allocate_one() {
    const LaneId lane = any_lane();
    const size_t bytes = any_size();
    const size_t alignment = pick(8) == 0 ? size_t{1} << pick(22) : kMinAlignment;
    void* const object = allocate(lane, bytes, alignment);
    ASSERT_NE(object, nullptr);
    ASSERT_EQ(address(object) % alignment, 0u);
    ASSERT_TRUE(all_zero(object, usable_bytes(object)));
    insert(object, bytes, lane);
  }

  void release_one() {
    if (live_.empty()) return;
    const auto it = any_live();
    check_fill(it->first, it->second, it->second.bytes);
    const LaneId by = pick(4) == 0 ? any_lane() : it->second.lane;
    release(by, reinterpret_cast<void*>(it->first));
    live_.erase(it);
  }

  void reallocate_one() {
    if (live_.empty()) return;
    const auto it = any_live();
    const auto [base, old] = *it;
    const size_t bytes = pick(3) == 0 ? any_size() : old.bytes / 2 + pick(old.bytes + 1);
    const LaneId by = pick(4) == 0 ? any_lane() : old.lane;
    void* const moved = reallocate(by, reinterpret_cast<void*>(base), bytes);
    ASSERT_NE(moved, nullptr);
    live_.erase(it);
    if (const size_t kept = std::min(bytes, old.bytes); kept != 0) {
      check_fill(address(moved), old, kept);
    }
    insert(moved, bytes, address(moved) == base ? old.lane : by);
  }

  void misuse_one() {
    if (live_.empty()) return;
    const auto it = any_live();
    const size_t offset = 1 + pick(it->second.bytes - 1);
    release(any_lane(), reinterpret_cast<void*>(it->first + offset));
    ASSERT_EQ(take_misuses(), 1u);
  }

  void describe_one() {
    if (live_.empty()) return;
    const auto it = any_live();
    Object found;
    ASSERT_TRUE(object_at(it->first + pick(it->second.bytes), found));
    ASSERT_EQ(found.base, it->first);
    ASSERT_EQ(found.lane, it->second.lane);
    ASSERT_TRUE(found.live);
  }

  void run(uint64_t seed, int steps) {
    random_.seed(seed);
    live_.clear();
    // Phases that grow and shrink, so that spans and runs come and go.
    for (int i = 0; i < steps && !HasFatalFailure(); ++i) {
      const uint64_t growing = i / 2000 % 2 == 0 ? 9 : 4;
      const uint64_t choice = pick(16);
      if (choice < growing)
        allocate_one();
      else if (choice < 13)
        release_one();
      else if (choice < 15)
        reallocate_one();
      else if (pick(3) == 0)
        apply_remote_frees();
      else if (pick(2) == 0)
        misuse_one();
      else
        describe_one();
    }
    for (const auto& [base, object] : live_) check_fill(base, object, object.bytes);
  }

  std::mt19937_64 random_;
  std::map<uint64_t, Live> live_;
};

TEST_F(HeapModel, RandomCalls) {
  const char* const given = std::getenv("EVENKEEL_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (uint64_t seed = first; seed < first + (given != nullptr ? 1 : 6); ++seed) {
    SCOPED_TRACE("EVENKEEL_SEED=" + std::to_string(seed));
    SetUp();
    run(seed, 20000);
    if (HasFatalFailure()) return;
  }
}

// Everything freed: the lanes must be able to serve their high-water mark again from what they
// have.
TEST_F(HeapModel, NothingIsLost) {
  run(99, 20000);
  while (!live_.empty()) {
    release(live_.begin()->second.lane, reinterpret_cast<void*>(live_.begin()->first));
    live_.erase(live_.begin());
  }
  apply_remote_frees();
  const int segments = hook_log().entered;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    // Each lane keeps a few empty spans for its next small objects; the rest is whole again.
    for (uint64_t bytes = 0; bytes < kSegmentBytes * 3 / 4; bytes += 1 << 20) {
      ASSERT_NE(allocate(LaneId{lane}, 1 << 20), nullptr);
    }
  }
  EXPECT_EQ(hook_log().entered, segments);
}

}  // namespace
}  // namespace evenkeel::heap
