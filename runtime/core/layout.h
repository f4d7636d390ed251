#pragma once
// The address space of a replica. Every replica of a server has the same one: address-space
// randomisation is off, and everything the runtime places goes to these fixed addresses.
//
//   hashed   what must agree between replicas; rolled back        heap, maps, globals
//   tracked  rolled back, but private to a replica                stacks, kernel, heap metadata
//   runtime  neither: survives a rollback                         deck, images, the library's own
//
// Unit tests run the same arenas under sanitizers, which own fixed ranges too (read from
// /proc/self/maps, g++ 12). AddressSanitizer: shadow 0x7fff'7000..0x1000'7fff'8000, allocator
// 0x6000'0000'0000..0x6400'0000'0000; no arena touches either. ThreadSanitizer claims everything
// but the places where programs normally are; the heap and its metadata lie in mere guard gaps
// whose shadow exists, so a test may map over those two.
// Without ADDR_NO_RANDOMIZE (unit tests) a PIE and its brk end below 0x5680'0000'0000; the legacy
// bottom-up mmap (ulimit -s unlimited) starts at 0x2aaa'aaaa'b000, which lies in no arena.
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

constexpr Range kMapArena{0x2000'0000'0000, 1 * kTiB};       // hashed: anonymous mmap
constexpr Range kStackArena{0x2400'0000'0000, 1 * kTiB};     // tracked: main stack, MAP_STACK
constexpr Range kKernelArena{0x2800'0000'0000, 16 * kGiB};   // tracked: the virtual kernel's state
constexpr Range kHeapMetaArena{0x2900'0000'0000, 1 * kTiB};  // tracked: allocator metadata
constexpr Range kFileArena{0x2e00'0000'0000, 1 * kTiB};      // file mappings; see kernel/memory.h
constexpr Range kDeckArena{0x3000'0000'0000, 1 * kTiB};      // runtime: the deck
constexpr Range kTreeArena{0x3400'0000'0000, 1 * kTiB};      // runtime: Merkle tree nodes
constexpr Range kImageArena{0x4000'0000'0000, 16 * kTiB};    // runtime: committed images
constexpr Range kHeapArena{0x5800'0000'0000, 4 * kTiB};      // hashed: malloc

constexpr uint64_t page_floor(uint64_t address) { return address & ~(kPageBytes - 1); }
constexpr uint64_t page_ceil(uint64_t address) { return page_floor(address + kPageBytes - 1); }

}  // namespace evenkeel
