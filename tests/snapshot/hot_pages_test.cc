// Pages written in every batch lose their protection, and get it back when they fall quiet.
#include "snapshot/heat.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;

class HotPagesOnBoth : public SnapshotTest {};
EVENKEEL_BOTH_BACKENDS(HotPagesOnBoth);

void heat_up(const Memory& memory, uint64_t page) {
  for (uint32_t i = 0; i < snapshot::kPromoteScore; ++i) {
    memory.at(page) = static_cast<uint8_t>(memory.at(page) + 1);
    collect_and_commit();
  }
}

bool is_hot(uint64_t address) {
  for (const auto& page : collect()) {
    if (page.address == address) return page.hot;
  }
  return false;
}

TEST_P(HotPagesOnBoth, PromotedAfterManyDirtyBatches) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  memory.at(3) = 1;
  EXPECT_FALSE(is_hot(memory.page(3)));
  snapshot::commit(true);
  heat_up(memory, 3);
  const auto quiet = collect();  // nothing written: reported all the same, as unchanged
  ASSERT_EQ(quiet.size(), 1U);
  EXPECT_TRUE(quiet[0].hot);
  EXPECT_TRUE(quiet[0].unchanged);
  snapshot::commit(true);
  memory.at(3) = 200;
  const auto written = collect();
  ASSERT_EQ(written.size(), 1U);
  EXPECT_FALSE(written[0].unchanged);
  snapshot::rollback();
  EXPECT_EQ(memory.at(3), 1 + snapshot::kPromoteScore);
}

TEST_P(HotPagesOnBoth, TrackedPagesToo) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kTracked).ok());
  heat_up(memory, 3);
  EXPECT_TRUE(is_hot(memory.page(3)));
  memory.at(3) = 99;
  snapshot::rollback();
  EXPECT_EQ(memory.at(3), snapshot::kPromoteScore);
}

// Of a page that nobody hashes it is looked for in some batches only, and all are committed whole.
TEST_P(HotPagesOnBoth, TrackedPagesAreDemotedToo) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kTracked).ok());
  heat_up(memory, 3);
  for (uint32_t i = 0; i < 100; ++i) {
    memory.at(3, 8 * i) = 1;
    const auto dirty = collect();
    ASSERT_EQ(dirty.size(), 1U);
    EXPECT_TRUE(dirty[0].hot);
    EXPECT_FALSE(dirty[0].unchanged);
    snapshot::commit(true);
    memory.at(3, 8 * i) = 2;
    snapshot::rollback();
    ASSERT_EQ(memory.at(3, 8 * i), 1);
  }
  uint32_t batches = 0;
  while (!collect().empty()) {
    snapshot::commit(true);
    ASSERT_LE(++batches, 2 * snapshot::kQuietBatches);
  }
  EXPECT_GT(batches, snapshot::kQuietBatches / 2);
}

TEST_P(HotPagesOnBoth, DemotedWhenQuietAndTrackedAgain) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  heat_up(memory, 3);
  for (uint32_t i = 0; i < snapshot::kQuietBatches; ++i) collect_and_commit();
  collect_and_commit();  // reported once more, and protected
  EXPECT_TRUE(collect().empty());
  snapshot::commit(true);
  memory.at(3) = 77;
  const auto dirty = collect();
  ASSERT_EQ(dirty.size(), 1U);
  EXPECT_FALSE(dirty[0].hot);
  EXPECT_FALSE(dirty[0].unchanged);
}

TEST_P(HotPagesOnBoth, PageDirtyEveryOtherBatchStaysProtected) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint32_t i = 0; i < 4 * snapshot::kPromoteScore; ++i) {
    if (i % 2 == 0) memory.at(3) = static_cast<uint8_t>(i + 1);
    for (const auto& page : collect()) EXPECT_FALSE(page.hot);
    snapshot::commit(true);
  }
}

TEST_P(HotPagesOnBoth, RemovedRegionsTakeTheirHotPagesAlong) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  const Range first = pages_at(memory.page(0), 4);
  ASSERT_TRUE(snapshot::add_region(first, Kind::kHashed).ok());
  heat_up(memory, 3);
  ASSERT_TRUE(is_hot(memory.page(3)));
  snapshot::commit(true);
  ASSERT_TRUE(snapshot::remove_region(first).ok());
  EXPECT_TRUE(collect().empty());
  snapshot::commit(true);
  ASSERT_TRUE(snapshot::add_region(first, Kind::kHashed).ok());
  memory.at(3) = 123;
  EXPECT_EQ(collect_addresses(), std::vector<uint64_t>{memory.page(3)});
}

TEST_P(HotPagesOnBoth, KernelWritesToHotPagesAreSeen) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  heat_up(memory, 3);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  void* const buffer = reinterpret_cast<void*>(memory.page(3));
  snapshot::prepare_kernel_write(buffer, 1);
  ASSERT_EQ(read(ends[0], buffer, 1), 1);
  close(ends[0]);
  close(ends[1]);
  const auto dirty = collect();
  ASSERT_EQ(dirty.size(), 1U);
  EXPECT_TRUE(dirty[0].hot);
  EXPECT_FALSE(dirty[0].unchanged);
}

}  // namespace
}  // namespace evenkeel::test
