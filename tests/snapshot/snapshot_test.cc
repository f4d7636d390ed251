// The interface, on both backends: what collect() reports, what commit() and rollback() do.
#include "snapshot/snapshot.h"

#include <fcntl.h>

#include <thread>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;
using Pages = std::vector<uint64_t>;

class Snapshot : public SnapshotTest {};
EVENKEEL_BOTH_BACKENDS(Snapshot);

TEST_P(Snapshot, ReportsWrittenPagesInOrderAndOnce) {
  const Memory memory(pages_at(kBase, 16));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  EXPECT_EQ(collect_addresses(), Pages{});
  memory.at(9) = 1;
  memory.at(3) = 1;
  memory.at(4) = 1;
  memory.at(3, 4095) = 1;
  EXPECT_EQ(collect_addresses(), (Pages{memory.page(3), memory.page(4), memory.page(9)}));
  snapshot::commit(true);
  EXPECT_EQ(collect_addresses(), Pages{});
  snapshot::commit(true);
  memory.at(4) = 2;
  EXPECT_EQ(collect_addresses(), Pages{memory.page(4)});
}

TEST_P(Snapshot, ContentAtTheStartIsTheImage) {
  const Memory memory(pages_at(kBase, 8));
  memory.at(2) = 42;
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(2) = 43;
  memory.at(5) = 1;
  snapshot::rollback();
  EXPECT_EQ(memory.at(2), 42);
  EXPECT_TRUE(page_is(memory.page(5), 0));
}

TEST_P(Snapshot, PagesOnlyReadAreNotChanged) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  EXPECT_EQ(memory.at(1), 0);
  for (const auto& page : collect()) EXPECT_TRUE(page.unchanged);
}

TEST_P(Snapshot, TellsUnchangedPagesFromChangedOnes) {
  const Memory memory(pages_at(kBase, 8));
  memory.at(1) = 7;
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(1) = 8;
  memory.at(1) = 7;
  memory.at(2) = 1;
  memory.at(2) = 0;
  memory.at(3) = 1;
  const auto dirty = collect();
  ASSERT_EQ(addresses(dirty), (Pages{memory.page(1), memory.page(2), memory.page(3)}));
  EXPECT_TRUE(dirty[0].unchanged);
  EXPECT_TRUE(dirty[1].unchanged);
  EXPECT_FALSE(dirty[2].unchanged);
}

TEST_P(Snapshot, WithoutComparisonEveryPageCountsAsChanged) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam(), false);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(1) = 0;
  const auto dirty = collect();
  ASSERT_EQ(dirty.size(), 1U);
  EXPECT_FALSE(dirty[0].unchanged);
}

TEST_P(Snapshot, RollbackRestoresAndLeavesNothingDirty) {
  const Memory memory(pages_at(kBase, 8));
  memory.at(1) = 7;
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kTracked).ok());
  memory.at(1) = 8;
  memory.at(6) = 9;
  ASSERT_EQ(collect().size(), 2U);
  snapshot::rollback();
  EXPECT_EQ(memory.at(1), 7);
  EXPECT_EQ(memory.at(6), 0);
  EXPECT_EQ(collect_addresses(), Pages{});
  memory.at(6) = 1;
  EXPECT_EQ(collect_addresses(), Pages{memory.page(6)});
}

TEST_P(Snapshot, RollbackNeedsNoCollectAndTakesLateWritesAlong) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(1) = 1;
  ASSERT_EQ(collect().size(), 1U);
  memory.at(1) = 2;
  memory.at(2) = 2;
  snapshot::rollback();
  EXPECT_EQ(memory.at(1), 0);
  EXPECT_EQ(memory.at(2), 0);
}

TEST_P(Snapshot, SecondCollectReportsTheUnion) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(5) = 1;
  memory.at(1) = 1;
  ASSERT_EQ(collect().size(), 2U);
  memory.at(1) = 0;
  memory.at(3) = 1;
  const auto dirty = collect();
  ASSERT_EQ(addresses(dirty), (Pages{memory.page(1), memory.page(3), memory.page(5)}));
  EXPECT_TRUE(dirty[0].unchanged);
  EXPECT_FALSE(dirty[1].unchanged);
  EXPECT_FALSE(dirty[2].unchanged);
  snapshot::commit(true);
  memory.at(5) = 9;
  snapshot::rollback();
  EXPECT_EQ(memory.at(5), 1);
}

TEST_P(Snapshot, KernelWritesAreSeen) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kTracked).ok());
  memory.at(2) = 1;
  collect_and_commit();  // the page exists and is protected
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(zeros, 0);
  for (const uint64_t offset : {uint64_t{100}, 3 * kPageBytes - 8}) {
    void* const buffer = reinterpret_cast<void*>(memory.range().begin + offset);
    snapshot::prepare_kernel_write(buffer, kPageBytes);
    ASSERT_EQ(read(zeros, buffer, kPageBytes), static_cast<ssize_t>(kPageBytes));
  }
  close(zeros);
  EXPECT_EQ(collect_addresses(),
            (Pages{memory.page(0), memory.page(1), memory.page(2), memory.page(3)}));
}

TEST_P(Snapshot, SparseRegionsCostNothing) {
  // As large as the heap arena. A walk over its pages would take seconds and gigabytes.
  const Memory memory({kStackArena.begin, 1 * kTiB});
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  const uint64_t last = memory.range().bytes / kPageBytes - 1;
  memory.at(0) = 1;
  memory.at(last / 2) = 1;
  memory.at(last) = 1;
  EXPECT_EQ(collect_addresses(), (Pages{memory.page(0), memory.page(last / 2), memory.page(last)}));
  snapshot::rollback();
  EXPECT_EQ(memory.at(last), 0);
}

TEST_P(Snapshot, ManyRegionsAreClippedAtTheirEnds) {
  // Three adjacent regions, a hole, another one: the tracker reports one run over the first three.
  const Memory memory(pages_at(kBase, 32));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(8), 4), Kind::kTracked).ok());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(0), 4), Kind::kHashed).ok());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(4), 4), Kind::kStack).ok());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(20), 2), Kind::kHashed).ok());
  for (uint64_t i = 0; i < 32; ++i) memory.at(i) = 1;
  const auto dirty = collect();
  ASSERT_EQ(dirty.size(), 14U);
  for (uint64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(dirty[i].address, memory.page(i));
    EXPECT_EQ(dirty[i].kind, i < 4 ? Kind::kHashed : i < 8 ? Kind::kStack : Kind::kTracked);
  }
  EXPECT_EQ(dirty[12].address, memory.page(20));
  snapshot::rollback();
  EXPECT_EQ(memory.at(11), 0);
  EXPECT_EQ(memory.at(12), 1);  // in no region
}

TEST_P(Snapshot, RefusesWhatItCannotTrack) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(2), 2), Kind::kHashed).ok());
  EXPECT_EQ(snapshot::add_region(pages_at(memory.page(3), 2), Kind::kHashed).err(), EEXIST);
  EXPECT_EQ(snapshot::add_region(pages_at(memory.page(0), 8), Kind::kHashed).err(), EEXIST);
  EXPECT_EQ(snapshot::add_region({memory.page(0), 100}, Kind::kHashed).err(), EINVAL);
  EXPECT_EQ(snapshot::add_region({memory.page(0), 0}, Kind::kHashed).err(), EINVAL);
  EXPECT_NE(snapshot::add_region(pages_at(kBase + kGiB, 1), Kind::kHashed).err(), 0);  // unmapped
  EXPECT_EQ(snapshot::remove_region(pages_at(memory.page(2), 1)).err(), ENOENT);
  EXPECT_EQ(snapshot::remove_region(pages_at(memory.page(6), 1)).err(), ENOENT);
  memory.at(2) = 1;
  EXPECT_EQ(collect_addresses(), Pages{memory.page(2)});
}

TEST_P(Snapshot, RemovedRegionsAreLeftAlone) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  const Range first = pages_at(memory.page(0), 2);
  ASSERT_TRUE(snapshot::add_region(first, Kind::kHashed).ok());
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(4), 2), Kind::kHashed).ok());
  memory.at(0) = 1;
  memory.at(4) = 1;
  ASSERT_EQ(collect().size(), 2U);
  ASSERT_TRUE(snapshot::remove_region(first).ok());
  memory.at(1) = 1;
  EXPECT_EQ(collect_addresses(), Pages{memory.page(4)});
  snapshot::rollback();
  EXPECT_EQ(memory.at(0), 1);
  EXPECT_EQ(memory.at(4), 0);
  memory.at(0) = 5;
  ASSERT_TRUE(snapshot::add_region(first, Kind::kTracked).ok());
  memory.at(0) = 6;
  snapshot::rollback();
  EXPECT_EQ(memory.at(0), 5);
  EXPECT_EQ(memory.at(1), 1);
}

TEST_P(Snapshot, ImageIsTheCommittedContent) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(1, 17) = 3;
  ASSERT_EQ(collect().size(), 1U);
  const auto byte = [&](uint64_t page) {
    return static_cast<const uint8_t*>(snapshot::image_of(memory.page(page)))[17];
  };
  EXPECT_EQ(byte(1), 0);
  snapshot::commit(true);
  EXPECT_EQ(byte(1), 3);
  EXPECT_EQ(byte(2), 0);
}

TEST_P(Snapshot, StatisticsCountPages) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(1) = 1;
  memory.at(2) = 0;
  collect_and_commit();
  EXPECT_EQ(snapshot::stats().written_pages, 2U);
  EXPECT_EQ(snapshot::stats().unchanged_pages, 1U);
  EXPECT_GT(snapshot::stats().scan_ns, 0U);
  EXPECT_GT(snapshot::stats().commit_ns, 0U);
}

TEST_P(Snapshot, ConcurrentWritersAreAllSeen) {
  constexpr uint64_t kPages = 512;
  constexpr unsigned kThreads = 4;
  const Memory memory(pages_at(kBase, kPages));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint8_t round = 1; round <= 20; ++round) {
    std::vector<std::thread> writers;
    for (unsigned t = 0; t < kThreads; ++t) {
      writers.emplace_back([&memory, t, round] {
        for (uint64_t i = 0; i < kPages; ++i) memory.at(i, t) = round;
      });
    }
    for (auto& writer : writers) writer.join();
    ASSERT_EQ(collect().size(), kPages);
    snapshot::commit(true);
    for (uint64_t i = 0; i < kPages; ++i) {
      ASSERT_EQ(memcmp(snapshot::image_of(memory.page(i)), reinterpret_cast<void*>(memory.page(i)),
                       kPageBytes),
                0);
    }
  }
}

TEST(SnapshotBackends, BothAreAvailableHere) {
  EXPECT_TRUE(snapshot::available(snapshot::Backend::kUserfaultfd));
  EXPECT_TRUE(snapshot::available(snapshot::Backend::kMprotect));
}

}  // namespace
}  // namespace evenkeel::test
