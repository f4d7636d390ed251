// Addresses depend on each lane's own calls, whatever the threads do; and on nothing outside the
// arenas, so that a rollback repeats them.
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "tests/core/heap_fixture.h"

namespace evenkeel::heap {
namespace {

constexpr uint32_t kLanes = 6;

// The order in which lanes take segments, as the schedule of the runtime fixes it: recorded in the
// first run, imposed in the others.
class SegmentOrder {
 public:
  void record() {
    replay_ = false;
    order_.clear();
  }
  void replay() {
    replay_ = true;
    next_ = 0;
  }
  void enter(uint32_t lane) {
    std::unique_lock lock(mutex_);
    if (replay_) turn_.wait(lock, [&] { return next_ < order_.size() && order_[next_] == lane; });
    if (!replay_) order_.push_back(lane);
    lock.release();  // held until leave(): excludes the other threads
  }
  void leave() {
    ++next_;
    turn_.notify_all();
    mutex_.unlock();
  }
  size_t size() const { return order_.size(); }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  bool replay_ = false;
  std::vector<uint32_t> order_;
  size_t next_ = 0;
};
SegmentOrder segment_order;
thread_local uint32_t my_lane;

class Worker {
 public:
  Worker(uint32_t lane, uint64_t seed) : lane_(lane), random_(seed + lane) {}

  // One batch: own allocations, frees of own objects and of those that neighbours gave away in the
  // batch before.
  void run(const std::vector<void*>& gifts, bool shake) {
    my_lane = lane_;
    given_.clear();
    size_t gift = 0;
    for (int i = 0; i < 400; ++i) {
      if (shake && random_shake_() % 16 == 0) std::this_thread::yield();
      step();
      if (gift < gifts.size() && i % 2 == 0) release(LaneId{lane_}, gifts[gift++]);
    }
    for (; gift < gifts.size(); ++gift) release(LaneId{lane_}, gifts[gift]);
  }

  std::vector<void*> take_given() { return std::move(given_); }
  void shake_by(uint64_t seed) { random_shake_.seed(seed + lane_); }
  const std::vector<uint64_t>& addresses() const { return addresses_; }

 private:
  size_t any_size() { return random_() % 64 == 0 ? random_() % (16 << 20) : random_() % 3000; }

  void step() {
    const uint64_t choice = random_() % 8;
    if (choice < 4 || mine_.empty()) return keep(allocate(LaneId{lane_}, any_size()));
    std::swap(mine_[random_() % mine_.size()], mine_.back());
    void* const object = mine_.back();
    mine_.pop_back();
    if (choice == 4) return given_.push_back(object);
    if (choice == 5) return keep(reallocate(LaneId{lane_}, object, any_size()));
    release(LaneId{lane_}, object);
  }
  void keep(void* object) {
    ASSERT_NE(object, nullptr);
    *static_cast<uint64_t*>(object) = random_();  // 16 bytes are always usable
    addresses_.push_back(address(object));
    mine_.push_back(object);
  }

  uint32_t lane_;
  std::mt19937_64 random_;
  std::mt19937_64 random_shake_;
  std::vector<void*> mine_;
  std::vector<void*> given_;
  std::vector<uint64_t> addresses_;
};

struct World {
  explicit World(uint64_t seed) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) workers.emplace_back(lane, seed);
    gifts.resize(kLanes);
  }

  void batch(bool threads) {
    std::vector<std::thread> running;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const auto work = [this, lane, threads] { workers[lane].run(gifts[lane], threads); };
      if (threads) {
        running.emplace_back(work);
      } else {
        work();
      }
    }
    for (std::thread& thread : running) thread.join();
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      gifts[(lane + 1) % kLanes] = workers[lane].take_given();
    }
    apply_remote_frees();
  }

  std::vector<std::vector<uint64_t>> addresses() const {
    std::vector<std::vector<uint64_t>> out;
    for (const Worker& worker : workers) out.push_back(worker.addresses());
    return out;
  }

  std::vector<Worker> workers;
  std::vector<std::vector<void*>> gifts;
};

class HeapDeterminism : public HeapTest {
 protected:
  void SetUp() override {
    HeapTest::SetUp();
    hook_log().enter = [] { segment_order.enter(my_lane); };
    hook_log().leave = [] { segment_order.leave(); };
  }
};

// Content of every used page that is not zero.
std::map<uint64_t, std::string> memory() {
  std::map<uint64_t, std::string> pages;
  for (const Range& range : used_ranges()) {
    for (uint64_t page = range.begin; page < range.end(); page += kPageBytes) {
      const auto* const at = reinterpret_cast<const char*>(page);
      if (!all_zero(at, kPageBytes)) pages.emplace(page, std::string(at, kPageBytes));
    }
  }
  return pages;
}

TEST_F(HeapDeterminism, ThreadsDoNotChangeAddressesOrMemory) {
  constexpr int kBatches = 12;
  World serial(7);
  segment_order.record();
  for (int i = 0; i < kBatches; ++i) serial.batch(false);
  const auto expected = serial.addresses();
  const auto expected_memory = memory();
  ASSERT_GT(segment_order.size(), size_t{kLanes}) << "segments must be contended for";
  for (uint64_t shake = 1; shake <= 3; ++shake) {
    SetUp();
    segment_order.replay();
    World parallel(7);
    for (Worker& worker : parallel.workers) worker.shake_by(shake);
    for (int i = 0; i < kBatches; ++i) parallel.batch(true);
    ASSERT_EQ(parallel.addresses(), expected);
    ASSERT_EQ(memory(), expected_memory) << "metadata included";
  }
}

// As the snapshot does it: pages of the image come back, pages that have none become zero.
void restore(const std::map<uint64_t, std::string>& image) {
  for (const Range& range : used_ranges()) {
    for (uint64_t page = range.begin; page < range.end(); page += kPageBytes) {
      if (image.contains(page)) continue;
      auto* const at = reinterpret_cast<char*>(page);
      if (!all_zero(at, kPageBytes)) std::memset(at, 0, kPageBytes);
    }
  }
  for (const auto& [page, bytes] : image) {
    if (std::memcmp(reinterpret_cast<void*>(page), bytes.data(), kPageBytes) == 0) continue;
    std::memcpy(reinterpret_cast<void*>(page), bytes.data(), kPageBytes);
  }
}

TEST_F(HeapDeterminism, RollbackRepeatsTheSameAddresses) {
  segment_order.record();
  World world(11);
  for (int round = 0; round < 8; ++round) {
    const World before = world;
    const auto image = memory();
    // Some rounds are long, so that free runs are zeroed and returned before the rollback.
    for (int i = 0; i < 1 + round % 3 * 40; ++i) apply_remote_frees();
    for (int i = 0; i < 3; ++i) world.batch(false);
    const auto addresses = world.addresses();
    const auto reached = memory();
    restore(image);
    ASSERT_EQ(memory(), image);
    world = before;
    for (int i = 0; i < 1 + round % 3 * 40; ++i) apply_remote_frees();
    for (int i = 0; i < 3; ++i) world.batch(false);
    ASSERT_EQ(world.addresses(), addresses);
    ASSERT_EQ(memory(), reached);
  }
}

// Two lanes free two objects of a third, in either order. The objects are equal afterwards, but
// what is allocated next is not.
uint64_t digest_after(bool crossed) {
  void* const first = allocate(kC, 40);
  void* const second = allocate(kC, 40);
  release(kA, crossed ? second : first);
  release(kB, crossed ? first : second);
  apply_remote_frees();
  return digest();
}

class HeapDigest : public HeapTest {
 protected:
  uint64_t anew(bool crossed) {
    TearDown();
    SetUp();
    return digest_after(crossed);
  }
};

TEST_F(HeapDigest, TellsWhatAddressesWillDependOn) {
  const uint64_t straight = anew(false);
  EXPECT_EQ(anew(false), straight);
  EXPECT_NE(anew(true), straight);
}

TEST_F(HeapDigest, CoversLanesOfConnections) {
  const uint64_t before = digest();
  static_cast<void>(allocate(LaneId{kThreadLanes + 7}, 10));
  EXPECT_NE(digest(), before);
}

TEST_F(HeapDigest, PreparedLanesAllocateWithoutTakingASegment) {
  const LaneId lane{kThreadLanes + 3};
  EXPECT_FALSE(prepared(lane));
  prepare(lane);
  EXPECT_TRUE(prepared(lane));
  const int entered = hook_log().entered;
  static_cast<void>(allocate(lane, 100));
  EXPECT_EQ(hook_log().entered, entered);
}

}  // namespace
}  // namespace evenkeel::heap
