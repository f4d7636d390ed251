// object_at(), for_each_used_range() and the return of memory.
#include <sys/mman.h>

#include <string>

#include "tests/core/heap_fixture.h"

namespace evenkeel::heap {
namespace {

using HeapInspect = HeapTest;

TEST_F(HeapInspect, LiveObjectsByAnyAddressInside) {
  Object found;
  EXPECT_FALSE(object_at(kHeapArena.begin, found)) << "nothing allocated yet";
  EXPECT_FALSE(object_at(1, found));
  uint64_t sequence = 0;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, size_t{3000}, size_t{30000},
                             size_t{40000}, size_t{10} << 20}) {
    void* const object = allocate(kB, bytes);
    ++sequence;
    const size_t usable = usable_bytes(object);
    for (const size_t offset : {size_t{0}, bytes / 2, usable / 2, usable - 1}) {
      ASSERT_TRUE(object_at(address(object) + offset, found)) << bytes << "+" << offset;
      EXPECT_EQ(found.base, address(object));
      EXPECT_EQ(found.bytes, bytes);
      EXPECT_EQ(found.lane, kB);
      EXPECT_TRUE(found.live);
      EXPECT_EQ(found.sequence, sequence);
    }
  }
}

TEST_F(HeapInspect, FreedObjectsUntilTheyAreReused) {
  for (const size_t bytes : {size_t{77}, size_t{20000}, size_t{200000}}) {
    void* const object = allocate(kA, bytes);
    Object found;
    ASSERT_TRUE(object_at(address(object), found));
    const uint64_t sequence = found.sequence;
    release(kA, object);
    ASSERT_TRUE(object_at(address(object) + 50, found)) << bytes;
    EXPECT_FALSE(found.live);
    EXPECT_EQ(found.base, address(object));
    EXPECT_EQ(found.bytes, bytes);
    EXPECT_EQ(found.sequence, sequence);
    ASSERT_EQ(allocate(kA, bytes - 1), object);
    ASSERT_TRUE(object_at(address(object) + 50, found));
    EXPECT_TRUE(found.live);
    EXPECT_EQ(found.bytes, bytes - 1);
    EXPECT_EQ(found.sequence, sequence + 1);
  }
}

TEST_F(HeapInspect, ObjectsOfASpanThatWasGivenBack) {
  std::vector<void*> objects;
  for (int i = 0; i < 500; ++i) objects.push_back(allocate(kA, 1000));
  for (void* const object : objects) release(kA, object);
  Object found;
  for (size_t i = 0; i < objects.size(); ++i) {
    ASSERT_TRUE(object_at(address(objects[i]), found)) << i;
    EXPECT_FALSE(found.live);
    EXPECT_EQ(found.base, address(objects[i]));
    EXPECT_EQ(found.sequence, i + 1);
  }
}

TEST_F(HeapInspect, NeitherUnusedSlotsNorFreshPagesAreObjects) {
  void* const object = allocate(kA, 1000);
  Object found;
  EXPECT_FALSE(object_at(address(object) + usable_bytes(object), found));
  EXPECT_FALSE(object_at(kHeapArena.begin + kSegmentBytes - 1, found));
}

TEST_F(HeapInspect, FreedByAnotherThreadInThisBatch) {
  void* const object = allocate(kA, 100);
  release(kB, object);
  Object found;
  ASSERT_TRUE(object_at(address(object), found));
  EXPECT_FALSE(found.live);
  EXPECT_EQ(found.lane, kA);
  EXPECT_EQ(found.sequence, 1u);
}

// Empties the used ranges, so it ends the life of this heap.
void check_ranges() {
  uint64_t last = 0;
  const std::vector<Range> ranges = used_ranges();
  for (const Range& range : ranges) {
    EXPECT_EQ(range.begin % kPageBytes, 0u);
    EXPECT_EQ(range.bytes % kPageBytes, 0u);
    EXPECT_GT(range.bytes, 0u);
    EXPECT_GT(range.begin, last) << "ascending, and joined where they touch";
    last = range.end();
    const Range& arena = kHeapArena.contains(range.begin) ? kHeapArena : kHeapMetaArena;
    EXPECT_GE(range.begin, arena.begin);
    EXPECT_LE(range.end(), arena.end());
  }
  for (const Range& range : ranges) {
    ASSERT_EQ(madvise(reinterpret_cast<void*>(range.begin), range.bytes, MADV_DONTNEED), 0);
  }
  EXPECT_EQ(written_pages(), 0u) << "a page outside the used ranges was written";
}

TEST_F(HeapInspect, UsedRangesHoldAllThatWasWritten) {
  std::vector<void*> objects;
  for (uint32_t i = 0; i < 6000; ++i) {
    const LaneId lane{i % 5};
    const size_t bytes = i * 7919 % (i % 50 == 0 ? 3000000 : 2000);
    void* const object = allocate(lane, bytes, i % 100 == 7 ? 1 << (i % 21) : 16);
    std::memset(object, 1, bytes);
    objects.push_back(object);
    if (i % 3 == 0) {
      release(LaneId{i % 7}, objects[i / 2]);
      objects[i / 2] = allocate(lane, 10);
    }
    if (i % 1000 == 0) apply_remote_frees();
  }
  std::memset(allocate(kB, 150 << 20), 1, 150 << 20);
  check_ranges();
}

TEST_F(HeapInspect, UsedRangesAreFewAndTight) {
  for (uint32_t lane = 0; lane < 8; ++lane) {
    for (size_t bytes = 16; bytes <= 1024; bytes *= 2) {
      ASSERT_NE(allocate(LaneId{lane}, bytes), nullptr);
    }
  }
  const std::vector<Range> ranges = used_ranges();
  EXPECT_LE(ranges.size(), 3 + 3 * 8u) << "root and tables, then three per segment";
  uint64_t heap = 0, meta = 0;
  for (const Range& range : ranges) {
    (kHeapArena.contains(range.begin) ? heap : meta) += range.bytes / kPageBytes;
  }
  EXPECT_EQ(heap, 8 * 7u) << "a page per lane and size";
  EXPECT_LE(meta, 1 + 8 + 1 + 4 + 8 * 3u);
}

TEST_F(HeapInspect, MemoryOfALargeFreeRunGoesBack) {
  constexpr size_t kBytes = 400 << 10;
  auto* const object = static_cast<char*>(allocate(kA, kBytes));
  void* const fence = allocate(kA, kBytes);
  std::memset(object, 1, kBytes);
  const size_t full = written_pages();
  const size_t empty = full - kBytes / kPageBytes;
  release(kA, object);
  apply_remote_frees();
  EXPECT_EQ(object[kBytes - 1], 1) << "left alone while it may be used again soon";
  int batches = 1;
  for (; written_pages() > empty + 4; ++batches) {
    ASSERT_LT(batches, 100);
    // Pages may only be dropped if the batch before committed them as zero.
    const std::string before(object, kBytes);
    apply_remote_frees();
    if (written_pages() >= full) continue;
    EXPECT_TRUE(all_zero(before.data(), kBytes));
  }
  EXPECT_GT(batches, 64);
  EXPECT_TRUE(all_zero(object, kBytes));
  EXPECT_EQ(allocate(kA, kBytes), object);
  std::memset(object, 2, kBytes);
  EXPECT_GE(written_pages(), full);
  for (int i = 0; i < 100; ++i) apply_remote_frees();
  EXPECT_EQ(object[kBytes / 2], 2) << "live again: left alone";
  release(kA, fence);
}

TEST_F(HeapInspect, ARunThatGrewByFreshPagesStillGoesBack) {
  ASSERT_NE(allocate(kB, 1), nullptr);  // so that the next segment has an odd number
  void* const object = allocate(kA, kSegmentBytes);
  std::memset(object, 1, 1 << 20);
  release(kA, object);
  // Its segments join the free run; the alignment leaves the written part free.
  ASSERT_EQ(address(allocate(kA, kSegmentBytes, 2 * kSegmentBytes)),
            address(object) + kSegmentBytes);
  const size_t before = written_pages();
  // 64 batches of waiting, 64 of a segment's 16384 pages per batch, one more to drop them.
  for (int i = 0; i < 64 + 256 + 2; ++i) apply_remote_frees();
  EXPECT_LE(written_pages(), before - 250);
}

TEST_F(HeapInspect, ReuseStopsTheReturnOfMemory) {
  constexpr size_t kBytes = 1 << 20;
  for (int batches = 0; batches < 90; ++batches) {
    auto* const object = static_cast<char*>(allocate(kA, kBytes));
    ASSERT_TRUE(all_zero(object, kBytes));
    std::memset(object, 3, kBytes);
    release(kA, object);
    for (int i = 0; i < batches; ++i) apply_remote_frees();
    // Part of the run, at any stage of its return.
    auto* const part = static_cast<char*>(allocate(kA, kBytes / 2));
    ASSERT_TRUE(all_zero(part, kBytes / 2)) << batches;
    std::memset(part, 4, kBytes / 2);
    for (int i = 0; i < 3; ++i) apply_remote_frees();
    ASSERT_EQ(part[kBytes / 2 - 1], 4);
    release(kA, part);
  }
}

}  // namespace
}  // namespace evenkeel::heap
