// Which pages exist: asked in the new way and in the way of kernels before 6.7.
#include <fcntl.h>

#include "snapshot/tracker.h"
#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

std::vector<uint64_t> present(const snapshot::PresentPages& pages, Range range) {
  std::vector<uint64_t> found;
  const auto append = [](void* context, uint64_t begin, uint64_t end) {
    auto& list = *static_cast<std::vector<uint64_t>*>(context);
    for (uint64_t page = begin; page < end; page += kPageBytes) list.push_back(page);
  };
  EXPECT_EQ(pages.report(range, {append, &found}).err(), 0);
  return found;
}

TEST(Pagemap, BothWaysFindThePagesThatExist) {
  const Memory memory(pages_at(kBase, 5000));
  std::vector<uint64_t> expected;
  for (uint64_t i = 0; i < 5000; i += 1 + i % 7) {
    memory.at(i) = 1;
    expected.push_back(memory.page(i));
  }
  snapshot::PresentPages pages;
  ASSERT_EQ(pages.open().err(), 0);
  EXPECT_EQ(present(pages, memory.range()), expected);
  ASSERT_TRUE(pages.has_scan());
  pages.forget_scan();
  EXPECT_EQ(present(pages, memory.range()), expected);
  EXPECT_TRUE(present(pages, pages_at(memory.page(5000), 10)).empty());  // not mapped
  pages.close();
}

TEST(Pagemap, ManyRunsNeedSeveralCalls) {
  const Memory memory(pages_at(kBase, 4000));
  for (uint64_t i = 0; i < 4000; i += 2) memory.at(i) = 1;
  snapshot::PresentPages pages;
  ASSERT_EQ(pages.open().err(), 0);
  EXPECT_EQ(present(pages, memory.range()).size(), 2000U);
  pages.close();
}

TEST(Pagemap, DescriptorsStayOutOfTheWay) {
  const int lowest = dup(0);
  ASSERT_GE(lowest, 0);
  close(lowest);
  snapshot::PresentPages pages;
  ASSERT_EQ(pages.open().err(), 0);
  EXPECT_GE(pages.fd(), 900);
  const int next = dup(0);
  EXPECT_EQ(next, lowest);
  close(next);
  pages.close();
}

}  // namespace
}  // namespace evenkeel::test
