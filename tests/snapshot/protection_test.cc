// The application's own page protections and MADV_DONTNEED inside regions.
#include "snapshot/protection.h"

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;
using Pages = std::vector<uint64_t>;

class Protection : public SnapshotTest {
 protected:
  Protection() : memory_(pages_at(kBase, 16)), session_(GetParam()) {
    memory_.at(1) = 1;
    memory_.at(2) = 2;
    EXPECT_TRUE(snapshot::add_region(memory_.range(), Kind::kHashed).ok());
  }
  void protect(uint64_t page, uint64_t pages, int protection) const {
    ASSERT_EQ(snapshot::protect(pages_at(memory_.page(page), pages), protection).err(), 0);
  }

  const Memory memory_;
  const Session session_;
};
EVENKEEL_BOTH_BACKENDS(Protection);
using ProtectionDeathTest = Protection;
EVENKEEL_BOTH_BACKENDS(ProtectionDeathTest);

TEST_P(ProtectionDeathTest, ForbiddenAccessStillKillsTheApplication) {
  protect(1, 1, PROT_NONE);
  protect(2, 1, PROT_READ);
  EXPECT_EXIT(exit(memory_.at(1)), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(memory_.at(2) = 1, testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(exit(memory_.at(2)), testing::ExitedWithCode(2), "");
}

TEST_P(Protection, CleanGuardPagesAreNotReported) {
  protect(4, 2, PROT_NONE);
  memory_.at(3) = 1;
  memory_.at(6) = 1;
  EXPECT_EQ(collect_addresses(), (Pages{memory_.page(3), memory_.page(6)}));
  snapshot::commit(true);
  EXPECT_EQ(collect_addresses(), Pages{});
}

TEST_P(Protection, PageWrittenThenMadeInaccessibleIsReadableUntilCommit) {
  memory_.at(5) = 9;
  protect(5, 1, PROT_NONE);
  const auto dirty = collect();
  ASSERT_EQ(addresses(dirty), Pages{memory_.page(5)});
  EXPECT_FALSE(dirty[0].unchanged);
  EXPECT_EQ(memory_.at(5), 9);
  snapshot::commit(true);
  EXPECT_EXIT(exit(memory_.at(5)), testing::KilledBySignal(SIGSEGV), "");
  protect(5, 1, PROT_READ | PROT_WRITE);
  EXPECT_EQ(memory_.at(5), 9);
  EXPECT_EQ(collect_addresses(), Pages{});
  snapshot::commit(true);
  memory_.at(5) = 10;
  EXPECT_EQ(collect_addresses(), Pages{memory_.page(5)});
}

TEST_P(Protection, RollbackRestoresContentAndProtection) {
  protect(2, 1, PROT_READ);
  collect_and_commit();
  protect(2, 1, PROT_READ | PROT_WRITE);
  memory_.at(2) = 200;
  memory_.at(1) = 100;
  protect(0, 4, PROT_NONE);
  protect(3, 1, PROT_READ);
  snapshot::rollback();
  EXPECT_EQ(memory_.at(1), 1);
  EXPECT_EQ(memory_.at(2), 2);
  memory_.at(1) = 5;
  memory_.at(3) = 5;
  EXPECT_EXIT(memory_.at(2) = 1, testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EQ(collect_addresses(), (Pages{memory_.page(1), memory_.page(3)}));
}

TEST_P(Protection, RegainedWriteAccessIsTracked) {
  protect(1, 1, PROT_READ);
  collect_and_commit();
  protect(1, 1, PROT_READ | PROT_WRITE);
  memory_.at(1) = 50;
  EXPECT_EQ(collect_addresses(), Pages{memory_.page(1)});
  snapshot::rollback();
  EXPECT_EXIT(memory_.at(1) = 1, testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EQ(memory_.at(1), 1);
}

TEST_P(Protection, ExecutablePagesStayExecutable) {
  constexpr uint8_t kReturn = 0xc3;
  constexpr int kAll = PROT_READ | PROT_WRITE | PROT_EXEC;
  protect(1, 1, kAll);
  memory_.at(1) = kReturn;
  reinterpret_cast<void (*)()>(memory_.page(1))();
  collect_and_commit();
  reinterpret_cast<void (*)()>(memory_.page(1))();
  memory_.at(1, 64) = kReturn;
  EXPECT_EQ(collect_addresses(), Pages{memory_.page(1)});
}

TEST_P(Protection, RefusesRangesOutsideARegion) {
  EXPECT_EQ(snapshot::protect(pages_at(memory_.page(15), 2), PROT_NONE).err(), ENOMEM);
  EXPECT_EQ(snapshot::protect(pages_at(kBase + kGiB, 1), PROT_NONE).err(), ENOMEM);
  EXPECT_EQ(snapshot::discard(pages_at(memory_.page(15), 2)).err(), ENOMEM);
}

TEST_P(Protection, DiscardedPagesAreZeroAndSeen) {
  ASSERT_EQ(snapshot::discard(pages_at(memory_.page(0), 8)).err(), 0);
  EXPECT_TRUE(page_is(memory_.page(1), 0));
  const auto dirty = collect();
  ASSERT_EQ(addresses(dirty), (Pages{memory_.page(1), memory_.page(2)}));  // those with an image
  EXPECT_FALSE(dirty[0].unchanged);
  snapshot::rollback();
  EXPECT_EQ(memory_.at(1), 1);
  EXPECT_EQ(memory_.at(2), 2);
}

TEST_P(Protection, DiscardIsCommitted) {
  memory_.at(3) = 3;
  ASSERT_EQ(snapshot::discard(pages_at(memory_.page(1), 1)).err(), 0);
  ASSERT_EQ(snapshot::discard(pages_at(memory_.page(3), 1)).err(), 0);
  collect_and_commit();
  memory_.at(1) = 9;
  memory_.at(3) = 9;
  snapshot::rollback();
  EXPECT_TRUE(page_is(memory_.page(1), 0));
  EXPECT_TRUE(page_is(memory_.page(3), 0));
}

TEST_P(Protection, InaccessiblePagesCanBeDiscarded) {
  protect(1, 2, PROT_NONE);
  collect_and_commit();
  ASSERT_EQ(snapshot::discard(pages_at(memory_.page(1), 1)).err(), 0);
  EXPECT_EXIT(exit(memory_.at(1)), testing::KilledBySignal(SIGSEGV), "");
  collect_and_commit();
  protect(1, 2, PROT_READ);
  EXPECT_EQ(memory_.at(1), 0);
  EXPECT_EQ(memory_.at(2), 2);
}

TEST_P(Protection, HotPagesMayBecomeInaccessible) {
  for (uint8_t i = 0; i < 40; ++i) {
    memory_.at(1) = i;
    collect_and_commit();
  }
  ASSERT_TRUE(collect().at(0).hot);
  snapshot::commit(true);
  protect(1, 1, PROT_NONE);
  collect_and_commit();
  EXPECT_EXIT(exit(memory_.at(1)), testing::KilledBySignal(SIGSEGV), "");
  protect(1, 1, PROT_READ | PROT_WRITE);
  memory_.at(1) = 99;
  snapshot::rollback();
  protect(1, 1, PROT_READ);
  EXPECT_EQ(memory_.at(1), 39);
}

}  // namespace
}  // namespace evenkeel::test
