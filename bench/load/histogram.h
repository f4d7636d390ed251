#pragma once
// Latencies in buckets that are 1/32 wide: percentiles without keeping every sample.
#include <bit>
#include <cstdint>
#include <vector>

namespace evenkeel::load {

class Histogram {
 public:
  void add(uint64_t value) {
    ++buckets_[index_of(value)];
    ++samples_;
    if (value > largest_) largest_ = value;
  }
  [[nodiscard]] uint64_t largest() const { return largest_; }
  // The lower end of the bucket that holds the given part of the samples.
  [[nodiscard]] uint64_t percentile(double part) const {
    const auto wanted = static_cast<uint64_t>(part * static_cast<double>(samples_));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < buckets_.size(); ++i) {
      if ((sum += buckets_[i]) > wanted) return value_of(i);
    }
    return 0;
  }

 private:
  static constexpr uint32_t kSubBits = 5;

  static uint32_t index_of(uint64_t value) {
    if (value < (1u << kSubBits)) return static_cast<uint32_t>(value);
    const auto shift = static_cast<uint32_t>(std::bit_width(value)) - kSubBits - 1;
    return (shift << kSubBits) + static_cast<uint32_t>(value >> shift);
  }
  static uint64_t value_of(uint32_t index) {
    if (index < (2u << kSubBits)) return index;
    const uint32_t shift = (index >> kSubBits) - 1;
    return uint64_t{index - (shift << kSubBits)} << shift;
  }

  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(64 << kSubBits);
  uint64_t samples_ = 0;
  uint64_t largest_ = 0;
};

}  // namespace evenkeel::load
