#pragma once
// A heap that is new for every test, and what tests of it share.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "runtime/core/heap.h"

namespace evenkeel::heap {

// Replaceable per test; the heap keeps one Hooks for the life of the process.
struct HookLog {
  void (*enter)() = nullptr;
  void (*leave)() = nullptr;
  int entered = 0;
  int left = 0;
  std::vector<std::pair<std::string, const void*>> misuses;
};
HookLog& hook_log();

class HeapTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // For tests that expect misuse: how often since the last call.
  static size_t take_misuses();
};

constexpr LaneId kA{0};
constexpr LaneId kB{1};
constexpr LaneId kC{2};

std::vector<Range> used_ranges();
bool all_zero(const void* memory, size_t bytes);
// Pages of both arenas that have memory of their own (a page only read has not).
size_t written_pages();
inline uint64_t address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

}  // namespace evenkeel::heap
