// What the committed image costs in memory, and that holes are never filled by looking at them.
#include "snapshot/image.h"

#include <sys/stat.h>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;

class Image : public SnapshotTest {
 protected:
  ~Image() override { close(fd_); }
  // Pages of the shared file that exist.
  [[nodiscard]] uint64_t file_pages() const {
    struct stat status = {};
    EXPECT_EQ(fstat(fd_, &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512 / kPageBytes;
  }
  static bool resident(const void* image) {
    unsigned char flag = 0;
    EXPECT_EQ(mincore(const_cast<void*>(image), kPageBytes, &flag), 0);
    return (flag & 1) != 0;
  }

  const int fd_ = make_image_file();
};
EVENKEEL_BOTH_BACKENDS(Image);

TEST_P(Image, HolesStayHoles) {
  const Memory memory({kBase, kTiB});
  const Session session(GetParam(), true, fd_);
  memory.at(0) = 1;
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  EXPECT_EQ(file_pages(), 1U);
  memory.at(1'000'000) = 1;
  memory.at(2'000'000) = 0;            // written, and still zero
  EXPECT_EQ(memory.at(3'000'000), 0);  // read only
  collect_and_commit();
  EXPECT_EQ(file_pages(), 2U);
  memory.at(5'000'000) = 1;
  memory.at(2'000'000) = 1;
  collect();
  (void)snapshot::image_of(memory.page(5'000'000));
  EXPECT_EQ(file_pages(), 2U) << "comparing with a hole filled it";
  snapshot::rollback();
  EXPECT_EQ(memory.at(5'000'000), 0);
  EXPECT_EQ(file_pages(), 2U) << "restoring from a hole filled it";
}

TEST_P(Image, OnlyTheWriterCopies) {
  const Memory memory(pages_at(kBase, 64));
  const Session session(GetParam(), true, fd_);
  memory.at(0) = 1;
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed, false).ok());
  memory.at(1) = 1;
  collect();
  snapshot::commit(false);
  EXPECT_EQ(file_pages(), 0U);
  memory.at(2) = 1;
  collect();
  snapshot::commit(true);
  EXPECT_EQ(file_pages(), 1U);
}

TEST_P(Image, PagesThatBecomeZeroAreGivenBack) {
  const Memory memory(pages_at(kBase, 64));
  const Session session(GetParam(), true, fd_);
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  for (uint64_t i = 0; i < 64; ++i) memory.at(i) = 1;
  collect_and_commit();
  EXPECT_EQ(file_pages(), 64U);
  for (uint64_t i = 8; i < 60; ++i) memory.at(i) = 0;
  collect_and_commit();
  EXPECT_EQ(file_pages(), 12U);
  memory.at(20) = 9;
  snapshot::rollback();
  EXPECT_TRUE(page_is(memory.page(20), 0));
  EXPECT_EQ(memory.at(7), 1);
  EXPECT_EQ(memory.at(60), 1);
}

TEST_P(Image, PrivateImagesAreGivenBackToo) {
  const Memory memory(pages_at(kBase, 8));
  const Session session(GetParam());
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kTracked).ok());
  memory.at(3) = 1;
  collect_and_commit();
  const void* image = snapshot::image_of(memory.page(3));
  EXPECT_TRUE(resident(image));
  memory.at(3) = 0;
  collect_and_commit();
  EXPECT_FALSE(resident(image));
  memory.at(3) = 2;
  collect_and_commit();
  memory.at(3) = 3;
  snapshot::rollback();
  EXPECT_EQ(memory.at(3), 2);
}

TEST_P(Image, RemovedRegionsAreGivenBack) {
  const Memory memory(pages_at(kBase, 64));
  const Session session(GetParam(), true, fd_);
  for (uint64_t i = 0; i < 64; ++i) memory.at(i) = 1;
  ASSERT_TRUE(snapshot::add_region(memory.range(), Kind::kHashed).ok());
  EXPECT_EQ(file_pages(), 64U);
  ASSERT_TRUE(snapshot::remove_region(memory.range()).ok());
  EXPECT_EQ(file_pages(), 0U);
}

TEST(ImagePages, ZeroMeansEveryByte) {
  alignas(kPageBytes) static uint8_t page[kPageBytes] = {};
  EXPECT_TRUE(snapshot::image::is_zero(page));
  for (size_t i = 0; i < kPageBytes; ++i) {
    page[i] = 0x80;
    ASSERT_FALSE(snapshot::image::is_zero(page)) << i;
    page[i] = 0;
  }
}

}  // namespace
}  // namespace evenkeel::test
