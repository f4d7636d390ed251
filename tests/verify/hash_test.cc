// The two vector widths give the same values, and those are XXH3's.
#include "verify/hash.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "runtime/core/layout.h"
#include "verify/verify.h"

namespace evenkeel::test {
namespace {

TEST(Hash, MatchesThePublishedVectors) {
  // XXH3-128 of nothing, seed 0: from the xxHash specification's test vectors.
  const wire::Token empty = {0x6001'c324'468d'497f, 0x99aa'06d3'0147'98d8};
  EXPECT_EQ(verify::hash_sse2(nullptr, 0, 0), empty);
}

TEST(Hash, WidthsAgree) {
  if (!verify::machine_has_avx2()) GTEST_SKIP() << "this machine has no AVX2";
  std::mt19937_64 random(1);
  std::vector<uint8_t> data(2 * kPageBytes);
  for (auto& byte : data) byte = static_cast<uint8_t>(random());
  for (size_t bytes = 0; bytes <= data.size(); bytes += bytes < 600 ? 1 : 97) {
    for (const uint64_t seed : {uint64_t{0}, uint64_t{7}, ~uint64_t{0}}) {
      ASSERT_EQ(verify::hash_sse2(data.data(), bytes, seed),
                verify::hash_avx2(data.data(), bytes, seed))
          << bytes;
    }
  }
}

TEST(Hash, SeedAndLengthCount) {
  const uint64_t zeros[8] = {};
  EXPECT_NE(verify::hash_bytes(zeros, 32, 0), verify::hash_bytes(zeros, 32, 1));
  EXPECT_NE(verify::hash_bytes(zeros, 32, 0), verify::hash_bytes(zeros, 33, 0));
}

TEST(Hash, ZeroPagesAreRecognised) {
  alignas(4096) static uint8_t page[kPageBytes] = {};
  EXPECT_TRUE(verify::is_zero_page(page));
  for (const size_t i : {size_t{0}, size_t{63}, size_t{64}, size_t{2048}, kPageBytes - 1}) {
    page[i] = 1;
    EXPECT_FALSE(verify::is_zero_page(page)) << i;
    page[i] = 0;
  }
}

}  // namespace
}  // namespace evenkeel::test
