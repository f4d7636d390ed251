#pragma once
// The address space of a replica. Every replica of a server has the same one: address-space
// randomisation is off, and everything the runtime places goes to these fixed addresses.
//
//   hashed   what must agree between replicas; rolled back        heap, maps, globals
//   tracked  rolled back, but private to a replica                stacks, kernel, heap metadata
//   runtime  neither: survives a rollback                         deck, images, the library's own
//
// The executable sits at 0x5555'5555'4000 (PIE) or 0x40'0000, libraries below 0x7fff'ffff'f000.
#include <cstddef>
#include <cstdint>

namespace evenkeel {

constexpr size_t kPageBytes = 4096;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTiB = uint64_t{1} << 40;

struct Range {
  uint64_t begin;
  uint64_t bytes;
  [[nodiscard]] constexpr uint64_t end() const { return begin + bytes; }
  [[nodiscard]] constexpr bool contains(uint64_t address) const {
    return address - begin < bytes;  // unsigned: below begin wraps to a large number
  }
};

constexpr Range kHeapArena{0x1000'0000'0000, 4 * kTiB};      // hashed: malloc
constexpr Range kMapArena{0x2000'0000'0000, 1 * kTiB};       // hashed: anonymous mmap, libraries
constexpr Range kStackArena{0x2400'0000'0000, 1 * kTiB};     // tracked: main stack, MAP_STACK
constexpr Range kKernelArena{0x2800'0000'0000, 16 * kGiB};   // tracked: the virtual kernel's state
constexpr Range kHeapMetaArena{0x2900'0000'0000, 1 * kTiB};  // tracked: allocator metadata
constexpr Range kDeckArena{0x3000'0000'0000, 1 * kTiB};      // runtime: the deck
constexpr Range kTreeArena{0x3400'0000'0000, 1 * kTiB};      // runtime: Merkle tree nodes
constexpr Range kImageArena{0x4000'0000'0000, 16 * kTiB};    // runtime: committed images

constexpr uint64_t page_floor(uint64_t address) { return address & ~(kPageBytes - 1); }
constexpr uint64_t page_ceil(uint64_t address) { return page_floor(address + kPageBytes - 1); }

}  // namespace evenkeel
