#pragma once
// The three arenas and what can be done to a range of them. Private to the memory calls.
// Threads: kernel lock held, in the recorded turn of version(); or the pump.
#include "runtime/kernel/address_map.h"
#include "runtime/kernel/memory.h"

namespace evenkeel::kernel::space {

// Lies in tracked memory.
struct Spaces {
  uint32_t version;  // order of everything that changes an address map
  // Counts commits: a file mapping of an earlier epoch is part of the image.
  uint32_t epoch;
  AddressMap maps;
  AddressMap stacks;
  AddressMap files;
};
[[nodiscard]] Spaces& spaces();
[[nodiscard]] const MemoryHooks& hooks();

// The map whose arena holds the whole range; null if none does.
[[nodiscard]] AddressMap* map_around(Range range);
// True if no part of the range is free or released.
[[nodiscard]] bool all_mapped(const AddressMap& map, Range range);
[[nodiscard]] bool all_free(const AddressMap& map, Range range);

// Each returns 0 or -errno. What place_anonymous() leaves is zero, whatever was there before.
long place_anonymous(AddressMap& map, Range range, int protection);
long remove(AddressMap& map, Range range);
long protect(AddressMap& map, Range range, int protection);  // -ENOMEM over holes
long zero(AddressMap& map, Range range);                     // its anonymous memory

constexpr uint8_t kReadWrite = 3;  // PROT_READ | PROT_WRITE
[[nodiscard]] inline void* as_pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace evenkeel::kernel::space
