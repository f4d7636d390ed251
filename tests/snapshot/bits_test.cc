#include "snapshot/bits.h"

#include <gtest/gtest.h>

#include <bit>
#include <thread>
#include <vector>

namespace evenkeel::test {
namespace {

using namespace snapshot;

TEST(Bits, SetClearTest) {
  uint64_t bits[4] = {};
  for (const uint64_t i : {0, 63, 64, 200, 255}) {
    EXPECT_FALSE(test_bit(bits, i));
    set_bit(bits, i);
    EXPECT_TRUE(test_bit(bits, i));
  }
  clear_bit(bits, 64);
  EXPECT_FALSE(test_bit(bits, 64));
  EXPECT_TRUE(test_bit(bits, 63));
}

TEST(Bits, NextSkipsToSetBitsWithinTheLimit) {
  uint64_t bits[4] = {};
  EXPECT_EQ(next_bit(bits, 0, 256), 256U);
  set_bit(bits, 5);
  set_bit(bits, 64);
  set_bit(bits, 255);
  EXPECT_EQ(next_bit(bits, 0, 256), 5U);
  EXPECT_EQ(next_bit(bits, 5, 256), 5U);
  EXPECT_EQ(next_bit(bits, 6, 256), 64U);
  EXPECT_EQ(next_bit(bits, 65, 256), 255U);
  EXPECT_EQ(next_bit(bits, 65, 200), 200U);
  EXPECT_EQ(next_bit(bits, 10, 10), 10U);
}

TEST(Bits, CountsSetBits) {
  EXPECT_EQ(count_bits(0), 0U);
  EXPECT_EQ(count_bits(UINT64_MAX), 64U);
  for (uint64_t word = 1; word < UINT64_MAX / 3; word = word * 3 + 1) {
    EXPECT_EQ(count_bits(word), static_cast<uint64_t>(std::popcount(word)));
  }
}

TEST(Bits, CountsSetBitsOfARange) {
  uint64_t bits[4] = {};
  for (uint64_t i = 0; i < 256; i += 3) set_bit(bits, i);
  for (uint64_t from = 0; from < 256; from += 7) {
    for (uint64_t limit = from; limit <= 256; limit += 5) {
      uint64_t expected = 0;
      for (uint64_t i = from; i < limit; ++i) expected += test_bit(bits, i) ? 1 : 0;
      ASSERT_EQ(count_bits(bits, from, limit), expected) << from << ' ' << limit;
    }
  }
}

TEST(Bits, OneThreadWinsEachSharedBit) {
  constexpr uint64_t kBits = 64 * 100;
  std::vector<uint64_t> bits(kBits / 64);
  std::atomic<uint64_t> won = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < kBits; ++i) won += set_bit_shared(bits.data(), i) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, kBits);
}

}  // namespace
}  // namespace evenkeel::test
