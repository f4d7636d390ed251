#pragma once
// One bit per page of a region, in sparse memory: 4 TiB of address space take 128 MiB of it.
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::snapshot {

constexpr uint64_t kBitsPerWord = 64;

inline bool test_bit(const uint64_t* bits, uint64_t index) {
  // relaxed: a bit that another thread sets at this moment may be seen or not.
  const uint64_t word = __atomic_load_n(&bits[index / kBitsPerWord], __ATOMIC_RELAXED);
  return ((word >> (index % kBitsPerWord)) & 1) != 0;
}
inline void set_bit(uint64_t* bits, uint64_t index) {
  bits[index / kBitsPerWord] |= uint64_t{1} << (index % kBitsPerWord);
}
inline void clear_bit(uint64_t* bits, uint64_t index) {
  bits[index / kBitsPerWord] &= ~(uint64_t{1} << (index % kBitsPerWord));
}
// For bits that several threads set during a batch. True if this call changed the bit.
inline bool set_bit_shared(uint64_t* bits, uint64_t index) {
  const uint64_t mask = uint64_t{1} << (index % kBitsPerWord);
  // acq_rel: whoever loses knows that the winner's list entry is being made; the lists are read
  // only after all threads have parked.
  const auto word = std::atomic_ref<uint64_t>(bits[index / kBitsPerWord]);
  return (word.fetch_or(mask, std::memory_order_acq_rel) & mask) == 0;
}

// By hand: std::popcount() calls into libgcc where the compiler may not assume the instruction.
inline uint64_t count_bits(uint64_t word) {
  word -= (word >> 1) & 0x5555'5555'5555'5555;
  word = (word & 0x3333'3333'3333'3333) + ((word >> 2) & 0x3333'3333'3333'3333);
  word = (word + (word >> 4)) & 0x0f0f'0f0f'0f0f'0f0f;
  return (word * 0x0101'0101'0101'0101) >> 56;
}

// Set bits in [from, limit).
inline uint64_t count_bits(const uint64_t* bits, uint64_t from, uint64_t limit) {
  uint64_t found = 0;
  while (from < limit) {
    const uint64_t next = (from / kBitsPerWord + 1) * kBitsPerWord;
    uint64_t word = bits[from / kBitsPerWord] >> (from % kBitsPerWord);
    if (next > limit) word &= (uint64_t{1} << (limit - from)) - 1;
    found += count_bits(word);
    from = next;
  }
  return found;
}

// First set bit in [from, limit), or limit.
inline uint64_t next_bit(const uint64_t* bits, uint64_t from, uint64_t limit) {
  while (from < limit) {
    const uint64_t word = bits[from / kBitsPerWord] >> (from % kBitsPerWord);
    if (word != 0) {
      const uint64_t found = from + static_cast<uint64_t>(std::countr_zero(word));
      return found < limit ? found : limit;
    }
    from = (from / kBitsPerWord + 1) * kBitsPerWord;
  }
  return limit;
}

}  // namespace evenkeel::snapshot
