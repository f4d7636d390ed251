#include "runtime/core/heap.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "runtime/core/heap_steps.h"
#include "tests/core/heap_fixture.h"

namespace evenkeel::heap {

HookLog& hook_log() {
  static HookLog log;
  return log;
}

void HeapTest::SetUp() {
  static const Hooks hooks{
      [] {
        if (hook_log().enter != nullptr) return hook_log().enter();
        ++hook_log().entered;
      },
      [] {
        if (hook_log().leave != nullptr) return hook_log().leave();
        ++hook_log().left;
      },
      [](const char* what, const void* pointer) { hook_log().misuses.emplace_back(what, pointer); },
      [](const void* pointer) { hook_log().misuses.emplace_back("lost free", pointer); }};
  hook_log() = {};
  init(hooks);
  // Never-touched arenas are all the state that a new heap has.
  for (const Range& arena : {kHeapArena, kHeapMetaArena}) {
    ASSERT_EQ(madvise(reinterpret_cast<void*>(arena.begin), arena.bytes, MADV_DONTNEED), 0);
  }
}

void HeapTest::TearDown() {
  EXPECT_TRUE(hook_log().misuses.empty()) << hook_log().misuses.front().first;
  EXPECT_EQ(hook_log().entered, hook_log().left);
}

size_t HeapTest::take_misuses() { return std::exchange(hook_log().misuses, {}).size(); }

std::vector<Range> used_ranges() {
  std::vector<Range> out;
  for_each_used_range(
      [](void* context, Range range) {
        static_cast<std::vector<Range>*>(context)->push_back(range);
      },
      &out);
  return out;
}

bool all_zero(const void* memory, size_t bytes) {
  const auto* const at = static_cast<const unsigned char*>(memory);
  return bytes == 0 || (at[0] == 0 && std::memcmp(at, at + 1, bytes - 1) == 0);
}

// From smaps: Rss of the arenas' mappings.
size_t written_pages() {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  size_t pages = 0;
  while (std::getline(smaps, line)) {
    std::istringstream text(line);
    uint64_t begin = 0;
    char dash = 0;
    if (line.find('-') < line.find(' ') && text >> std::hex >> begin >> dash && dash == '-') {
      inside = kHeapArena.contains(begin) || kHeapMetaArena.contains(begin);
    } else if (inside && line.starts_with("Rss:")) {
      pages += std::stoul(line.substr(4)) * 1024 / kPageBytes;
    }
  }
  return pages;
}

namespace {

TEST(HeapSteps, WasteIsBounded) {
  for (uint64_t bytes = 1; bytes <= kMaxSmallBytes; ++bytes) {
    const uint64_t size = kSizeClassTable.classes[size_class_of(bytes)].bytes;
    ASSERT_GE(size, bytes);
    ASSERT_LE(size, bytes <= 128 ? (bytes + 15) / 16 * 16 : bytes + bytes / 4);
  }
}

TEST(HeapSteps, SpansWasteAtMostAnEighthAndReciprocalsAreExact) {
  for (const SizeClass& sizes : kSizeClassTable.classes) {
    for (uint32_t pages = sizes.min_pages; pages <= sizes.max_pages; pages *= 2) {
      const uint64_t bytes = pages * kPageBytes;
      const uint64_t slots = std::min<uint64_t>(bytes / sizes.bytes, kMaxSlots);
      EXPECT_LE((bytes - slots * sizes.bytes) * 8, bytes) << sizes.bytes;
      for (uint64_t offset = 0; offset < bytes; ++offset) {
        ASSERT_EQ(offset * sizes.reciprocal >> 32, offset / sizes.bytes);
      }
    }
  }
}

TEST_F(HeapTest, InitTwiceIsHarmless) {
  void* const object = allocate(kA, 100);
  std::memset(object, 7, 100);
  static const Hooks other{[] {}, [] {}, [](const char*, const void*) {}, [](const void*) {}};
  init(other);
  EXPECT_EQ(static_cast<char*>(object)[99], 7);
  SetUp();
}

TEST_F(HeapTest, ObjectsAreZeroDistinctAlignedAndFullyUsable) {
  std::set<uint64_t> bases;
  for (size_t bytes = 0; bytes < 70000; bytes += bytes < 1100 ? 1 : 977) {
    void* const object = allocate(kA, bytes);
    ASSERT_NE(object, nullptr);
    ASSERT_TRUE(owns(object));
    ASSERT_EQ(address(object) % kMinAlignment, 0u);
    ASSERT_GE(usable_bytes(object), bytes);
    ASSERT_TRUE(all_zero(object, usable_bytes(object)));
    std::memset(object, 0xff, usable_bytes(object));
    ASSERT_TRUE(bases.insert(address(object)).second);
  }
}

TEST_F(HeapTest, ReusedSlotIsZeroAgain) {
  for (const size_t bytes : {1, 16, 100, 500, 600, 4000, 5000, 20000, 40000, 3 << 20}) {
    void* const object = allocate(kA, bytes);
    const size_t usable = usable_bytes(object);
    std::memset(object, 0xff, usable);
    release(kA, object);
    void* const again = allocate(kA, bytes);
    EXPECT_EQ(again, object) << "last freed, first reused: " << bytes;
    EXPECT_TRUE(all_zero(again, usable)) << bytes;
    release(kA, again);
  }
}

TEST_F(HeapTest, FewSmallObjectsMakeFewPages) {
  std::set<uint64_t> pages;
  for (int i = 0; i < 50; ++i) {
    const uint64_t object = address(allocate(kA, 500));
    pages.insert(page_floor(object));
    pages.insert(page_floor(object + 499));
  }
  EXPECT_LE(pages.size(), 7u);
}

TEST_F(HeapTest, ARequestThatFreesAllItTookDirtiesFewPages) {
  const auto request = [] {
    std::vector<void*> objects;
    for (int i = 0; i < 50; ++i) objects.push_back(allocate(kA, 500));
    for (void* const object : objects) release(kA, object);
  };
  for (int i = 0; i < 100; ++i) request();
  std::map<uint64_t, std::string> before;
  for (const Range& range : used_ranges()) {
    for (uint64_t page = range.begin; page < range.end(); page += kPageBytes) {
      before.emplace(page, std::string(reinterpret_cast<const char*>(page), kPageBytes));
    }
  }
  request();
  size_t changed = 0;
  for (const auto& [page, bytes] : before) {
    changed += std::memcmp(reinterpret_cast<void*>(page), bytes.data(), kPageBytes) != 0 ? 1u : 0u;
  }
  EXPECT_LE(changed, 2u) << "the lane, and the words of its 50 objects";
}

TEST_F(HeapTest, UnusedPartOfALargeReusedObjectIsNotWritten) {
  for (const size_t bytes : {size_t{24000}, size_t{1} << 20}) {
    auto* const object = static_cast<char*>(allocate(kA, bytes));
    object[0] = 1;
    const size_t before = written_pages();
    release(kA, object);
    ASSERT_EQ(allocate(kA, bytes), object);
    EXPECT_TRUE(all_zero(object, bytes));
    EXPECT_LE(written_pages(), before + 1) << "and a page of metadata";
  }
}

TEST_F(HeapTest, EmptySpansServeOtherSizes) {
  std::vector<void*> objects;
  for (int i = 0; i < 10000; ++i) objects.push_back(allocate(kA, 64));
  const auto [low, high] = std::minmax_element(objects.begin(), objects.end());
  const uint64_t first = address(*low), last = address(*high);
  for (void* const object : objects) release(kA, object);
  for (int i = 0; i < 500; ++i) {
    const uint64_t object = address(allocate(kA, 1024));
    EXPECT_LE(object, last + 65536);
    EXPECT_GE(object, first);
  }
}

TEST_F(HeapTest, FreedLargeRunsCoalesce) {
  constexpr size_t kBytes = 1 << 20;
  for (const auto& order : {std::vector{0, 1, 2}, std::vector{2, 1, 0}, std::vector{0, 2, 1}}) {
    void* object[3];
    for (void*& o : object) o = allocate(kA, kBytes);
    void* const fence = allocate(kA, kBytes);
    ASSERT_EQ(address(object[2]), address(object[0]) + 2 * kBytes);
    for (const int i : order) release(kA, object[i]);
    void* const whole = allocate(kA, 3 * kBytes);
    EXPECT_EQ(whole, object[0]);
    release(kA, whole);
    release(kA, fence);
  }
}

TEST_F(HeapTest, ObjectsLargerThanASegment) {
  constexpr size_t kBytes = 3 * kSegmentBytes + 12345;
  auto* const object = static_cast<char*>(allocate(kA, kBytes));
  ASSERT_NE(object, nullptr);
  void* const other = allocate(kB, 10);
  object[0] = object[kBytes - 1] = object[kSegmentBytes] = 1;
  EXPECT_EQ(usable_bytes(object), page_ceil(kBytes));
  Object found;
  ASSERT_TRUE(object_at(address(object) + 2 * kSegmentBytes + 99, found));
  EXPECT_EQ(found.base, address(object));
  EXPECT_EQ(found.bytes, kBytes);
  EXPECT_FALSE(address(other) - address(object) < kBytes);
  release(kA, object);
  EXPECT_EQ(allocate(kA, kBytes), object);
  EXPECT_EQ(object[0] | object[kBytes - 1] | object[kSegmentBytes], 0);
}

TEST_F(HeapTest, ASegmentThatFollowsExtendsTheFreeTail) {
  void* const first = allocate(kA, kSegmentBytes - (1 << 20));
  void* const second = allocate(kA, 2 << 20);
  EXPECT_EQ(address(second), address(first) + kSegmentBytes - (1 << 20));
}

TEST_F(HeapTest, Alignment) {
  for (size_t alignment = 1; alignment <= 2 * kSegmentBytes; alignment *= 2) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{24}, size_t{1000}, size_t{5000},
                               size_t{33000}, size_t{300000}}) {
      void* const object = allocate(kA, bytes, alignment);
      ASSERT_NE(object, nullptr);
      ASSERT_EQ(address(object) % alignment, 0u) << bytes << " " << alignment;
      ASSERT_GE(usable_bytes(object), bytes);
      ASSERT_TRUE(all_zero(object, usable_bytes(object)));
      std::memset(object, 0xff, usable_bytes(object));
      if (bytes % 3 == 0) release(kA, object);
    }
  }
}

TEST_F(HeapTest, ReallocateKeepsContent) {
  auto* object = static_cast<unsigned char*>(reallocate(kA, nullptr, 10));
  size_t filled = 0;
  for (const size_t bytes : {10, 16, 17, 100, 90, 3000, 2000, 40000, 50000, 5 << 20, 3 << 20,
                             70 << 20, 9000, 50, 4, 0}) {
    object = static_cast<unsigned char*>(reallocate(kA, object, bytes));
    ASSERT_NE(object, nullptr);
    ASSERT_GE(usable_bytes(object), bytes);
    for (size_t i = 0; i < std::min(filled, bytes); ++i) ASSERT_EQ(object[i], i % 251);
    for (size_t i = 0; i < bytes; ++i) object[i] = static_cast<unsigned char>(i % 251);
    filled = bytes;
  }
  release(kA, object);
}

TEST_F(HeapTest, ReallocateInPlaceWhereItCan) {
  void* const small = allocate(kA, 200);
  EXPECT_EQ(reallocate(kA, small, 224), small);
  EXPECT_EQ(reallocate(kA, small, 120), small);
  EXPECT_NE(reallocate(kA, small, 50), small);
  void* const large = allocate(kA, 100 << 10);
  EXPECT_EQ(reallocate(kA, large, 10 << 20), large) << "free pages follow";
  EXPECT_TRUE(all_zero(large, 10 << 20));
  std::memset(large, 1, 10 << 20);
  EXPECT_EQ(reallocate(kA, large, 1 << 20), large);
  void* const next = allocate(kA, 1 << 20);
  EXPECT_EQ(address(next), address(large) + (1 << 20)) << "the tail was given back";
  EXPECT_TRUE(all_zero(next, 1 << 20));
}

TEST_F(HeapTest, GrowsInPlaceAcrossSegments) {
  void* const room = allocate(kA, 3 * kSegmentBytes);
  release(kA, room);
  void* const object = allocate(kA, 1 << 20);
  ASSERT_EQ(object, room);
  ASSERT_EQ(reallocate(kA, object, 2 * kSegmentBytes + 1), object);
  Object found;
  for (const uint64_t offset : {uint64_t{1}, kSegmentBytes, 2 * kSegmentBytes}) {
    ASSERT_TRUE(object_at(address(object) + offset, found));
    EXPECT_EQ(found.base, address(object));
    EXPECT_EQ(found.bytes, 2 * kSegmentBytes + 1);
  }
}

TEST_F(HeapTest, RemoteFreeWaitsForApply) {
  void* const object = allocate(kA, 100);
  std::memset(object, 1, 100);
  release(kB, object);
  EXPECT_NE(allocate(kA, 100), object);
  apply_remote_frees();
  EXPECT_EQ(allocate(kA, 100), object);
  EXPECT_TRUE(all_zero(object, 100));
}

TEST_F(HeapTest, RemoteFreesApplyByFreeingLaneThenOrder) {
  void* object[4];
  for (void*& o : object) o = allocate(kA, 100);
  release(kC, object[0]);
  release(kB, object[1]);
  release(kC, object[2]);
  release(kB, object[3]);
  apply_remote_frees();  // 1 3 0 2; the last freed is the first reused
  for (const int i : {2, 0, 3, 1}) EXPECT_EQ(allocate(kA, 100), object[i]);
}

TEST_F(HeapTest, ManyRemoteFreesOfAllSizes) {
  for (const size_t count : {2000, 600, 2000, 300, 2000}) {
    std::set<void*> objects;
    for (size_t i = 0; i < count; ++i) objects.insert(allocate(kA, i * 37 % 60000));
    ASSERT_EQ(objects.size(), count);
    for (void* const object : objects) release(kB, object);
    apply_remote_frees();
  }
  // 2000 objects need 54 of 64 MiB; the second segment is for the queue of kB.
  EXPECT_EQ(hook_log().entered, 2) << "everything came back";
}

TEST_F(HeapTest, RemoteReallocateMoves) {
  auto* const object = static_cast<char*>(allocate(kA, 100));
  std::strcpy(object, "content");
  EXPECT_EQ(reallocate(kB, object, 110), object);
  auto* const moved = static_cast<char*>(reallocate(kB, object, 1000));
  EXPECT_NE(moved, object);
  EXPECT_STREQ(moved, "content");
  Object found;
  ASSERT_TRUE(object_at(address(moved), found));
  EXPECT_EQ(found.lane, kB);
  ASSERT_TRUE(object_at(address(object), found));
  EXPECT_FALSE(found.live);
  EXPECT_EQ(found.bytes, 110u);
}

TEST_F(HeapTest, MisuseIsReportedAndChangesNothing) {
  auto* const small = static_cast<char*>(allocate(kA, 100));
  auto* const large = static_cast<char*>(allocate(kA, 100000));
  int local = 0;
  release(kA, nullptr);
  ASSERT_EQ(take_misuses(), 0u);
  const void* const wild[] = {small + 1,
                              small + 16,
                              small + 112,
                              large + 16,
                              large + 4096,
                              large + 99999,
                              &local,
                              reinterpret_cast<void*>(kHeapArena.end() - 16),
                              reinterpret_cast<void*>(kHeapArena.begin + kSegmentBytes - 4096),
                              reinterpret_cast<void*>(16)};
  for (const LaneId by : {kA, kB}) {
    for (const void* const pointer : wild) {
      release(by, const_cast<void*>(pointer));
      EXPECT_EQ(take_misuses(), 1u) << pointer;
      EXPECT_EQ(reallocate(by, const_cast<void*>(pointer), 10), nullptr);
      EXPECT_EQ(take_misuses(), 1u) << pointer;
      EXPECT_EQ(usable_bytes(pointer), 0u);
      EXPECT_EQ(take_misuses(), 1u) << pointer;
    }
  }
  apply_remote_frees();
  EXPECT_EQ(usable_bytes(small), 112u);
  EXPECT_EQ(usable_bytes(large), page_ceil(100000));
}

TEST_F(HeapTest, DoubleFreeIsReportedWhoeverFrees) {
  for (const size_t bytes : {size_t{100}, size_t{30000}, size_t{100000}}) {
    for (const LaneId first : {kA, kB}) {
      for (const LaneId second : {kA, kB, kC}) {
        void* const object = allocate(kA, bytes);
        void* const keep = allocate(kA, bytes);
        release(first, object);
        release(second, object);
        EXPECT_EQ(take_misuses(), 1u);
        apply_remote_frees();
        EXPECT_EQ(take_misuses(), 0u);
        void* const x = allocate(kA, bytes);
        void* const y = allocate(kA, bytes);
        EXPECT_NE(x, y);
        for (void* const o : {x, y, keep}) release(kA, o);
      }
    }
  }
}

TEST_F(HeapTest, OfTwoRacingFreesOneIsReported) {
  constexpr int kObjects = 20000;
  std::vector<void*> objects;
  for (int i = 0; i < kObjects; ++i) objects.push_back(allocate(kA, 48));
  static std::atomic<int> reported;
  reported = 0;
  static const Hooks counting{[] {}, [] {}, [](const char*, const void*) { ++reported; },
                              [](const void*) { ++reported; }};
  init(counting);
  std::atomic<int> ready = 0;
  const auto free_all = [&](LaneId by) {
    ++ready;
    while (ready != 2) {
    }
    for (void* const object : objects) release(by, object);
  };
  // Their queue blocks come from segments that they own already.
  const std::vector<void*> own{allocate(kB, 1), allocate(kC, 1)};
  std::thread b([&] { free_all(kB); });
  std::thread c([&] { free_all(kC); });
  b.join();
  c.join();
  EXPECT_EQ(reported, kObjects);
  apply_remote_frees();
  EXPECT_EQ(reported, kObjects);
  std::set<void*> again;
  for (int i = 0; i < kObjects; ++i) again.insert(allocate(kA, 48));
  EXPECT_EQ(again.size(), size_t{kObjects});
}

TEST_F(HeapTest, OnlyTakingASegmentIsOrdered) {
  void* const object = allocate(kA, 10);
  EXPECT_EQ(hook_log().entered, 1);
  for (int i = 0; i < 1000; ++i) EXPECT_NE(allocate(kA, 5000), nullptr);
  release(kA, object);
  EXPECT_EQ(hook_log().entered, 1);
  EXPECT_NE(allocate(kA, kSegmentBytes), nullptr);
  EXPECT_EQ(hook_log().entered, 2);
}

TEST_F(HeapTest, ExhaustionIsANullPointer) {
  EXPECT_EQ(allocate(kA, SIZE_MAX), nullptr);
  EXPECT_EQ(allocate(kA, kHeapArena.bytes + 1), nullptr);
  EXPECT_EQ(allocate(kA, 10, size_t{1} << 63), nullptr);
  void* const small = allocate(kA, 100);
  EXPECT_EQ(allocate(kA, kHeapArena.bytes), nullptr) << "a segment of it is taken";
  void* const big = allocate(kA, kHeapArena.bytes - kSegmentBytes);
  ASSERT_NE(big, nullptr);
  EXPECT_EQ(reallocate(kA, small, kSegmentBytes), nullptr);
  EXPECT_EQ(usable_bytes(small), 112u) << "unchanged";
  EXPECT_EQ(allocate(kB, 1), nullptr) << "no segment left for another lane";
  EXPECT_NE(allocate(kA, 100), nullptr) << "the first segment still has room";
  for (int i = 0; i < 1000; ++i) {
    void* const object = allocate(kA, 100);
    ASSERT_NE(object, nullptr);
    release(kB, object);  // beyond the inline queue a lane without a segment has no room
  }
  EXPECT_EQ(take_misuses(), 1000u - 191u);
  apply_remote_frees();
  release(kA, big);
  EXPECT_EQ(allocate(kA, kSegmentBytes), big);
}

TEST_F(HeapTest, TinyObjectsOutgrowTheirSegmentsMetadata) {
  // 16-byte objects need half their size in metadata: a segment's block area runs out first.
  constexpr size_t kObjects = 5 << 20;
  auto* last = static_cast<char*>(allocate(kA, 16));
  for (size_t i = 1; i < kObjects; ++i) {
    auto* const object = static_cast<char*>(allocate(kA, 16));
    ASSERT_NE(object, nullptr);
    ASSERT_NE(object, last);
    last = object;
  }
  release(kA, last);
  EXPECT_EQ(allocate(kA, 9), last);
}

TEST_F(HeapTest, EveryLaneHasItsOwnSegments) {
  std::set<uint64_t> segments;
  for (uint32_t lane = 0; lane < kMaxLanes; ++lane) {
    const auto object = address(allocate(LaneId{lane}, 100));
    segments.insert((object - kHeapArena.begin) / kSegmentBytes);
  }
  EXPECT_EQ(segments.size(), kMaxLanes);
}

}  // namespace
}  // namespace evenkeel::heap
