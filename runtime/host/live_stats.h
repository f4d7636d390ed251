#pragma once
// The counters as the live view reads them from its own thread, while the coordinator goes on.
//
// Threads: publish() by the coordinator's main thread only, which never waits; read() by any.
// Memory:  none. A sequence lock: a read that met a write is repeated.
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "runtime/host/stats.h"

namespace evenkeel::host {

class LiveStats {
 public:
  void publish(const Stats& stats) {
    const auto words = std::bit_cast<std::array<uint64_t, kWords>>(stats);
    const uint64_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    // release: nobody sees a word of this write who does not see the odd sequence.
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_relaxed);
    sequence_.store(sequence + 2, std::memory_order_release);  // pairs with the acquire in read()
  }

  [[nodiscard]] Stats read() const {
    std::array<uint64_t, kWords> words;
    for (;;) {
      const uint64_t before = sequence_.load(std::memory_order_acquire);
      for (size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
      // acquire: the words are read before the sequence is looked at again.
      std::atomic_thread_fence(std::memory_order_acquire);
      if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) break;
    }
    return std::bit_cast<Stats>(words);
  }

 private:
  static_assert(std::is_trivially_copyable_v<Stats> && sizeof(Stats) % sizeof(uint64_t) == 0);
  static constexpr size_t kWords = sizeof(Stats) / sizeof(uint64_t);

  std::atomic<uint64_t> sequence_{0};
  std::array<std::atomic<uint64_t>, kWords> words_{};
};

}  // namespace evenkeel::host
