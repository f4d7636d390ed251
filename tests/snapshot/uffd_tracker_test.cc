// What is particular to asynchronous userfaultfd.
#include <fcntl.h>

#include "snapshot/tracker.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Backend;
using snapshot::Kind;
using Pages = std::vector<uint64_t>;

TEST(UffdTracker, KernelWritesNeedNoAnnouncement) {
  const Memory memory(pages_at(kBase, 4));
  const Session session(Backend::kUserfaultfd);
  memory.at(1) = 1;
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(zeros, 0);
  EXPECT_EQ(read(zeros, reinterpret_cast<void*>(memory.page(1)), 8), 8);
  close(zeros);
  EXPECT_EQ(collect_addresses(), Pages{memory.page(1)});
}

TEST(UffdTracker, MoreRunsThanOneScanReturns) {
  const Memory memory(pages_at(kBase, 6000));
  const Session session(Backend::kUserfaultfd);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint64_t i = 0; i < 6000; i += 2) memory.at(i) = 1;
  EXPECT_EQ(collect().size(), 3000U);
  snapshot::commit(true);
  EXPECT_EQ(collect().size(), 0U);
}

TEST(UffdTracker, HugePagesAreNotUsed) {
  // Aligned and large enough for huge pages, where the system gives them unasked.
  const Memory memory({kBase, 64 << 20});
  madvise(reinterpret_cast<void*>(memory.range().begin), memory.range().bytes, MADV_HUGEPAGE);
  const Session session(Backend::kUserfaultfd);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint64_t i = 0; i < 16384; i += 512) memory.at(i + 7) = 1;
  EXPECT_EQ(collect().size(), 32U);
}

TEST(UffdTracker, HugePagesFromBeforeAreTrackedByPage) {
  const Memory memory({kBase, 64 << 20});
  madvise(reinterpret_cast<void*>(memory.range().begin), memory.range().bytes, MADV_HUGEPAGE);
  for (uint64_t i = 0; i < 16384; i += 512) memory.at(i + 7) = 1;
  const Session session(Backend::kUserfaultfd);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(512 * 3 + 100) = 5;
  memory.at(512 * 9 + 7) = 5;
  collect();
  snapshot::commit(true);
  memory.at(512 * 3 + 100) = 6;
  memory.at(512 * 9 + 7) = 6;
  snapshot::rollback();
  EXPECT_EQ(memory.at(512 * 3 + 100), 5);
  EXPECT_EQ(memory.at(512 * 9 + 7), 5);
  EXPECT_EQ(memory.at(7), 1);
}

// Blocks with pages are scanned in another way of the kernel's, which must find the same.
TEST(UffdTracker, FullMemoryIsTrackedExactly) {
  constexpr uint64_t kPages = 16384;  // 64 MiB
  const Memory memory({kBase, kTiB});
  const Session session(Backend::kUserfaultfd);
  for (uint64_t i = 0; i < kPages; ++i) {
    if (i % 16 != 5) memory.at(i) = 1;  // with holes that have never been touched
  }
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  const Range used = {kBase, (kPages + 100) * kPageBytes};
  snapshot::set_used_ranges(memory.range(), &used, 1);
  for (int i = 0; i < 3; ++i) {
    for (const auto& page : collect()) ASSERT_TRUE(page.unchanged);
    snapshot::commit(true);
  }
  EXPECT_EQ(collect_addresses(), Pages{});
  for (uint64_t round = 0; round < 200; ++round) {
    const uint64_t page = 1 + round * 79 % (kPages - 1);
    memory.at(page, 8) = static_cast<uint8_t>(round + 1);  // holes of the run included
    memory.at(kPages + round % 100) = static_cast<uint8_t>(round + 1);
    ASSERT_EQ(collect_addresses(), (Pages{memory.page(page), memory.page(kPages + round % 100)}));
    if (round % 2 == 0) {
      snapshot::commit(true);
    } else {
      snapshot::rollback();
      ASSERT_EQ(memory.at(page, 8), 0);
    }
  }
}

// That way takes what was never touched for written, unless it was protected before.
TEST(UffdTracker, UnusedPagesOfSparseMemoryAreNeverReported) {
  const Memory memory({kBase, kTiB});
  const Session session(Backend::kUserfaultfd);
  for (uint64_t i = 0; i < 64; ++i) memory.at(700 + i * 16) = 1;  // in blocks 1 to 3
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  Range used = {memory.page(600), 1500 * kPageBytes};
  for (uint64_t round = 0; round < 300; ++round) {    // plans are made anew and all is looked at
    if (round == 10) used.bytes += 300 * kPageBytes;  // grows within its last block
    snapshot::set_used_ranges(memory.range(), &used, 1);
    const uint64_t page = 600 + round * 7 % 1500;
    memory.at(page, 100) = static_cast<uint8_t>(round % 255 + 1);
    const uint64_t other = 601 + round * 11 % 1400;  // only read, once it is sealed
    if (round > 0) {
      [[maybe_unused]] const uint8_t content = memory.at(other);
    }
    ASSERT_EQ(collect_addresses(), Pages{memory.page(page)}) << round;
    snapshot::commit(true);
  }
}

TEST(UffdTracker, DroppedPagesOfSealedBlocksAreTracked) {
  const Memory memory({kBase, 16 << 20});
  const Session session(Backend::kUserfaultfd);
  for (uint64_t i = 0; i < 100; ++i) memory.at(i) = 1;
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  EXPECT_EQ(collect_addresses(), Pages{});
  ASSERT_TRUE(snapshot::discard({memory.page(10), 2 * kPageBytes}).ok());
  EXPECT_EQ(collect_addresses(), (Pages{memory.page(10), memory.page(11)}));
  snapshot::rollback();
  EXPECT_EQ(memory.at(10), 1);
  ASSERT_TRUE(snapshot::discard({memory.page(10), kPageBytes}).ok());
  EXPECT_EQ(collect_addresses(), Pages{memory.page(10)});
  snapshot::commit(true);
  memory.at(10) = 2;
  EXPECT_EQ(collect_addresses(), Pages{memory.page(10)});
  snapshot::rollback();
  EXPECT_EQ(memory.at(10), 0);
}

TEST(UffdTracker, PagesOutsideTheUsedRangesAreFoundLate) {
  const Memory memory({kBase, kTiB});
  const Session session(Backend::kUserfaultfd);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  const Range used = {kBase, 16 * kPageBytes};
  snapshot::set_used_ranges(memory.range(), &used, 1);
  const uint64_t far = 100'000'000;
  memory.at(far) = 1;
  EXPECT_EQ(collect_addresses(), Pages{});
  int batches = 1;
  for (snapshot::commit(true); collect_addresses().empty(); ++batches) {
    snapshot::commit(true);
    ASSERT_LE(batches, 256);
  }
  snapshot::rollback();
  EXPECT_EQ(memory.at(far), 0);
  memory.at(far) = 1;
  snapshot::rollback();
  EXPECT_EQ(memory.at(far), 0);
}

}  // namespace
}  // namespace evenkeel::test
