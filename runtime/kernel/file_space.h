#pragma once
// kFileArena: the only arena whose mappings the kernel really knows, so the only one where a
// rollback must undo kernel calls. Private to the memory calls.
//
// A mapping that is part of the image is never destroyed before its end is committed: unmapped, it
// is only marked; replaced, it is first moved aside to a place of the kernel's choice, from where
// memory_rolled_back() brings it back. Mappings made in the batch itself need no such care.
//
// Threads: kernel lock held, in turn; or the pump. Memory: lists in runtime memory, bounded.
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/address_map.h"

namespace evenkeel::kernel::files {

// How many announced regions there can be (the snapshot's table has as many); more are neither
// compared nor rolled back, and counted.
constexpr uint32_t kMaxRegions = 1024;
// Mappings moved aside in one batch; more are destroyed at once, and counted.
constexpr uint32_t kMaxAside = 64;

void reserve();

// True if a real file mapping can take the range: nothing tracked lies in it.
[[nodiscard]] bool can_hold_file(Range range);
long place_file(Range range, int protection, int real_fd, uint64_t offset);

// What the arena does for parts of one kind.
long place_anonymous(Range part, const Attributes& before, int protection);
long protect(Range part, const Attributes& before, int protection);
long zero(Range part);  // anonymous
void release(Range part, const Attributes& before);

// The pump: see memory.h.
void announce_regions();  // whatever is anonymous and not announced yet
void drop_released();
void forget_aside();   // commit
void restore_aside();  // rollback
void restore_protections();
// See memory.h.
sys::Result take_over(const Peer& peer);
long take_over_mapping(Range range, int protection, int fd, uint64_t offset);

}  // namespace evenkeel::kernel::files
