#pragma once
// Memory in the map arena that a tree hashes, and the tree computed anew for comparison.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/core/layout.h"
#include "verify/verify.h"

namespace evenkeel::test {

using wire::Token;

constexpr Token kZeroToken = {0, 0};
constexpr uint64_t kPages = 4096;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    void* mapped =
        mmap(reinterpret_cast<void*>(kMapArena.begin), kPages * kPageBytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped == MAP_FAILED) abort();
    EXPECT_EQ(verify::init().err(), 0);
  }
  ~VerifyTest() override { munmap(reinterpret_cast<void*>(kMapArena.begin), kPages * kPageBytes); }

  static uint64_t page(uint64_t index) { return kMapArena.begin + index * kPageBytes; }
  static uint8_t& at(uint64_t index, uint64_t offset = 0) {
    return *reinterpret_cast<uint8_t*>(page(index) + offset);
  }
  static void update(const std::vector<uint64_t>& indices) {
    std::vector<uint64_t> pages;
    for (const uint64_t index : indices) pages.push_back(page(index));
    verify::update(pages.data(), pages.size());
  }
  static std::vector<uint64_t> everything() {
    std::vector<uint64_t> indices;
    for (uint64_t i = 0; i < kPages; ++i) indices.push_back(i);
    return indices;
  }
  // The root of a tree built from nothing over the present memory.
  static Token fresh_root() {
    EXPECT_EQ(verify::init().err(), 0);
    update(everything());
    return verify::root();
  }
  static std::vector<wire::Leaf> changed() {
    const verify::Changed found = verify::changed();
    return {found.leaves, found.leaves + found.count};
  }
};

}  // namespace evenkeel::test
