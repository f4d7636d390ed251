// What is particular to mprotect and SIGSEGV.
#include <fcntl.h>

#include "snapshot/tracker.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Backend;
using snapshot::Kind;
using Pages = std::vector<uint64_t>;

TEST(MprotectTracker, StackPagesAreNeverProtected) {
  const Memory memory(pages_at(kBase, 64));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kStack).ok());
  memory.at(60) = 1;
  memory.at(61) = 1;
  collect_and_commit();
  // A handler that runs on such a page, its frame pushed by the kernel.
  static constinit volatile sig_atomic_t ran = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { ran = 1; };
  action.sa_flags = SA_ONSTACK;
  struct sigaction before = {};
  sigaction(SIGUSR1, &action, &before);
  stack_t stack = {};
  stack.ss_sp = reinterpret_cast<void*>(memory.range().begin);
  stack.ss_size = memory.range().bytes;
  stack_t old = {};
  ASSERT_EQ(sigaltstack(&stack, &old), 0);
  raise(SIGUSR1);
  sigaltstack(&old, nullptr);
  sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(snapshot::handle_write_fault(memory.page(60)));
}

TEST(MprotectTracker, PresentStackPagesAlwaysCountAsWritten) {
  const Memory memory(pages_at(kBase, 64));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kStack).ok());
  memory.at(60) = 1;
  memory.at(62) = 1;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(collect_addresses(), (Pages{memory.page(60), memory.page(62)}));
    snapshot::commit(true);
  }
  memory.at(62) = 9;
  memory.at(10) = 9;
  snapshot::rollback();
  EXPECT_EQ(memory.at(62), 1);
  EXPECT_EQ(memory.at(10), 0);
}

TEST(MprotectTracker, KernelWritesWithoutAnnouncementFail) {
  // Why prepare_kernel_write() exists.
  const Memory memory(pages_at(kBase, 4));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(zeros, 0);
  void* const buffer = reinterpret_cast<void*>(memory.page(1));
  EXPECT_EQ(read(zeros, buffer, 8), -1);
  EXPECT_EQ(errno, EFAULT);
  snapshot::prepare_kernel_write(buffer, 8);
  EXPECT_EQ(read(zeros, buffer, 8), 8);
  close(zeros);
}

TEST(MprotectTracker, FaultsElsewhereAreNotOurs) {
  const Memory memory(pages_at(kBase, 4));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(pages_at(memory.page(1), 2), Kind::kHashed).ok());
  EXPECT_FALSE(snapshot::handle_write_fault(0));
  EXPECT_FALSE(snapshot::handle_write_fault(memory.page(0)));
  EXPECT_FALSE(snapshot::handle_write_fault(memory.page(3)));
  EXPECT_TRUE(snapshot::handle_write_fault(memory.page(2) + 5));
  EXPECT_EQ(collect_addresses(), Pages{memory.page(2)});
}

TEST(MprotectTracker, SurvivesRunningOutOfMappings) {
  // Every other page: two mappings a page, more than the kernel's 65530.
  constexpr uint64_t kPages = 140'000;
  const Memory memory(pages_at(kBase, kPages));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint64_t i = 0; i < kPages; i += 2) memory.at(i) = 1;
  uint64_t changed = 0;
  for (const auto& page : collect()) changed += page.unchanged ? 0 : 1;
  EXPECT_EQ(changed, kPages / 2);
  snapshot::commit(true);
  for (uint64_t i = 0; i < kPages; i += 2) memory.at(i) = 2;
  snapshot::rollback();
  for (uint64_t i = 0; i < kPages; i += 2) ASSERT_EQ(memory.at(i), 1);
  for (uint64_t i = 1; i < kPages; i += 2) ASSERT_EQ(memory.at(i), 0);
}

// As pages of a replica's heap: in the middle of terabytes, at no boundary of anything.
void write_more_islands_than_mappings() {
  const Memory memory({kBase, 128 * kGiB});
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  constexpr uint64_t kIslands = 40'000;
  const auto nth = [](uint64_t i) { return 37 * kGiB / kPageBytes + i * 25 + i * i % 19; };
  for (uint64_t i = 0; i < kIslands; ++i) memory.at(nth(i)) = 1;
  uint64_t changed = 0;
  const auto dirty = collect();
  for (const auto& page : dirty) changed += page.unchanged ? 0 : 1;
  EXPECT_EQ(changed, kIslands);
  // Those too many, and the gaps that made room for them, of at most 64 pages.
  EXPECT_LE(dirty.size(), kIslands + (kIslands - 65530 / 2 + 100) * 64);
  snapshot::commit(true);
  for (uint64_t i = 0; i < kIslands; ++i) memory.at(nth(i)) = 2;
  snapshot::rollback();
  for (uint64_t i = 0; i < kIslands; ++i) ASSERT_EQ(memory.at(nth(i)), 1);
  EXPECT_EQ(collect_addresses(), Pages{});
}

TEST(MprotectTracker, JoinsIslandsWhenMappingsRunOut) { write_more_islands_than_mappings(); }

// One mapping more: the limit is met at the other remainder, where not even the first of the two
// boundaries that an island needs can be drawn.
TEST(MprotectTracker, JoinsIslandsWhenMappingsRunOutAtAnOddNumber) {
  const Memory one_more(pages_at(kBase + kTiB / 2, 1));
  write_more_islands_than_mappings();
}

TEST(MprotectTracker, UsedRangesReplaceTheSearch) {
  // The tracker itself, as on a kernel before 6.7.
  const Memory memory(pages_at(kBase, 64));
  const Session session(Backend::kMprotect);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kStack).ok());
  const Range used[] = {pages_at(memory.page(8), 4), pages_at(memory.page(40), 4)};
  snapshot::set_used_ranges(memory.range(), used, 2);
  snapshot::mprotect_tracker::pretend_old_kernel();
  memory.at(9) = 1;
  memory.at(20) = 1;  // not in use, so the caller says
  memory.at(43) = 1;
  EXPECT_EQ(collect_addresses(), (Pages{memory.page(9), memory.page(43)}));
  snapshot::commit(true);
  snapshot::set_used_ranges(memory.range(), used, 1);
  EXPECT_EQ(collect_addresses(), Pages{memory.page(9)});
}

}  // namespace
}  // namespace evenkeel::test
