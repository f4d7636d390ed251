#pragma once
// How often a value lay in which power of two. Plain data, part of Stats.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace evenkeel::host {

struct Histogram {
  // Bucket i counts values below 2^i that are in none before it; the last one also all above.
  static constexpr size_t kBuckets = 40;

  std::array<uint64_t, kBuckets> bucket{};
  uint64_t sum = 0;

  void add(uint64_t value) {
    ++bucket[std::min<size_t>(static_cast<size_t>(std::bit_width(value)), kBuckets - 1)];
    sum += value;
  }
};

}  // namespace evenkeel::host
