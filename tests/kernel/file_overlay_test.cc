#include "runtime/kernel/file_overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime/core/arena.h"

namespace evenkeel::kernel {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes numbered(size_t count, uint8_t first) {
  Bytes bytes(count);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

class FileOverlay : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const bool mapped = (arena::init(), true);
    ASSERT_TRUE(mapped);
  }
  void TearDown() override { overlay_.reset(0); }

  void begin(const Bytes& real) {
    real_ = real;
    overlay_.reset(real.size());
  }
  uint64_t write(uint64_t offset, const Bytes& data) {
    return overlay_.write(offset, data.data(), data.size());
  }
  uint64_t write(uint64_t offset, const std::string& text) {
    return overlay_.write(offset, text.data(), text.size());
  }
  // The whole file as a reader sees it.
  [[nodiscard]] Bytes content() const {
    Bytes seen(overlay_.size(), 0);
    const size_t visible = std::min<size_t>(overlay_.real_visible(), seen.size());
    std::copy_n(real_.begin(), visible, seen.begin());
    overlay_.for_each(0, seen.size(), [&](uint64_t at, const uint8_t* data, uint64_t count) {
      std::memcpy(seen.data() + at, data, count);
    });
    return seen;
  }
  [[nodiscard]] std::string text() const {
    const Bytes seen = content();
    return {seen.begin(), seen.end()};
  }
  [[nodiscard]] size_t extents() const {
    size_t count = 0;
    overlay_.for_each(0, UINT64_MAX, [&](uint64_t, const uint8_t*, uint64_t) { ++count; });
    return count;
  }
  void begin(const std::string& real) { begin(Bytes(real.begin(), real.end())); }

  Bytes real_;
  Overlay overlay_;
};

TEST_F(FileOverlay, ShowsTheRealFileWhenNothingIsPending) {
  begin("hello");
  EXPECT_EQ(text(), "hello");
  EXPECT_FALSE(overlay_.changed());
}

TEST_F(FileOverlay, LaysWritesOverTheRealFile) {
  begin("0123456789");
  write(3, std::string("abc"));
  EXPECT_EQ(text(), "012abc6789");
  EXPECT_TRUE(overlay_.changed());
  EXPECT_EQ(overlay_.size(), 10u);
}

TEST_F(FileOverlay, LaterWritesWin) {
  begin("0123456789");
  write(2, std::string("aaaa"));
  write(4, std::string("bbbb"));
  write(3, std::string("c"));
  EXPECT_EQ(text(), "01acbbbb89");
}

TEST_F(FileOverlay, AppendsInOneExtentPerBlock) {
  begin("");
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    write(overlay_.size(), line);
    expected += line;
  }
  EXPECT_EQ(text(), expected);
  EXPECT_EQ(extents(), 1u);
}

TEST_F(FileOverlay, ReadsHolesAsZero) {
  begin("ab");
  write(5, std::string("z"));
  EXPECT_EQ(text(), std::string("ab\0\0\0z", 6));
}

TEST_F(FileOverlay, DoesNotShowAgainWhatWasCut) {
  begin("0123456789");
  overlay_.truncate(4);
  EXPECT_EQ(text(), "0123");
  overlay_.truncate(8);
  EXPECT_EQ(text(), std::string("0123\0\0\0\0", 8));
  EXPECT_EQ(overlay_.real_visible(), 4u);
}

TEST_F(FileOverlay, CutsPendingWritesInTheMiddle) {
  begin("");
  write(0, numbered(100, 0));
  write(200, numbered(100, 50));
  overlay_.truncate(50);
  EXPECT_EQ(content(), numbered(50, 0));
  EXPECT_EQ(overlay_.pending_bytes(), 50u);
  write(50, numbered(10, 50));
  EXPECT_EQ(content(), numbered(60, 0));
}

TEST_F(FileOverlay, IsUnchangedByAnEmptyTruncation) {
  begin("abc");
  overlay_.truncate(3);
  EXPECT_FALSE(overlay_.changed());
}

TEST_F(FileOverlay, IsChangedByCuttingAndRegrowing) {
  begin("abc");
  overlay_.truncate(0);
  overlay_.truncate(3);
  EXPECT_EQ(overlay_.size(), overlay_.real_size());
  EXPECT_TRUE(overlay_.changed());
}

TEST_F(FileOverlay, TakesNoMoreThanItsLimit) {
  begin("");
  const Bytes block(1 << 20, 7);
  uint64_t taken = 0;
  while (const uint64_t more = write(taken, block)) taken += more;
  EXPECT_EQ(taken, kMaxPendingBytes);
  EXPECT_EQ(overlay_.size(), kMaxPendingBytes);
  // What is pending already can still be overwritten.
  EXPECT_EQ(write(10, numbered(100, 1)), 100u);
  EXPECT_EQ(overlay_.pending_bytes(), kMaxPendingBytes);
}

TEST_F(FileOverlay, TakesPartOfAWriteThatCrossesItsLimit) {
  begin("");
  write(0, Bytes(kMaxPendingBytes - 10, 1));
  EXPECT_EQ(write(kMaxPendingBytes - 10, Bytes(30, 2)), 10u);
  EXPECT_EQ(overlay_.size(), kMaxPendingBytes);
}

TEST_F(FileOverlay, VisitsOnlyTheAskedRange) {
  begin("");
  write(100, numbered(50, 0));
  uint64_t at = 0, bytes = 0;
  overlay_.for_each(120, 10, [&](uint64_t from, const uint8_t* data, uint64_t count) {
    at = from;
    bytes = count;
    EXPECT_EQ(data[0], 20);
  });
  EXPECT_EQ(at, 120u);
  EXPECT_EQ(bytes, 10u);
}

TEST_F(FileOverlay, ReusesTheMemoryOfForgottenWrites) {
  begin("");
  write(0, Bytes(1 << 20, 1));
  overlay_.reset(0);
  const uint64_t used = arena::used_end();
  for (int i = 0; i < 20; ++i) {
    write(0, Bytes(1 << 20, 1));
    overlay_.reset(0);
  }
  EXPECT_EQ(arena::used_end(), used);
}

// Against a plain byte vector, with offsets and sizes around the block sizes.
class FileOverlayRandom : public FileOverlay, public testing::WithParamInterface<unsigned> {};

TEST_P(FileOverlayRandom, BehavesLikeAFile) {
  std::mt19937 random(GetParam());
  const auto below = [&](size_t limit) { return random() % limit; };
  constexpr size_t kSpan = 200'000;
  begin(numbered(below(kSpan / 2), 1));
  Bytes model = real_;
  for (int step = 0; step < 300; ++step) {
    if (below(10) == 0) {
      const size_t size = below(kSpan);
      overlay_.truncate(size);
      model.resize(size, 0);
    } else {
      const size_t offset = below(4) == 0 ? model.size() : below(kSpan);
      const Bytes data =
          numbered(1 + below(below(20) == 0 ? 70'000 : 300), static_cast<uint8_t>(random()));
      ASSERT_EQ(write(offset, data), data.size());
      model.resize(std::max(model.size(), offset + data.size()), 0);
      std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(offset));
    }
    ASSERT_EQ(overlay_.size(), model.size()) << "seed " << GetParam() << " step " << step;
    ASSERT_TRUE(content() == model) << "seed " << GetParam() << " step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FileOverlayRandom, testing::Range(1u, 21u));

}  // namespace
}  // namespace evenkeel::kernel
