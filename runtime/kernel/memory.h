#pragma once
// The application's address space: mmap, munmap, mprotect, mremap, madvise and their kin, at the
// same addresses in every replica.
//
//   kMapArena    hashed     anonymous memory; writable file mappings, as copies
//   kStackArena  tracked    anonymous memory asked for with MAP_STACK: the C library's thread
//   stacks kFileArena   untracked  read-only file mappings, real ones. What is writable inside them
//   (data
//                           segments of libraries loaded later) is anonymous memory, announced to
//                           the snapshot as a region of its own when the batch ends
//
// The first two arenas are reserved once, readable and writable; a private anonymous mapping there
// costs no system call. Free memory is zero. A new mapping takes the lowest gap that is large
// enough; hints are ignored. All changes are ordered on one version word, so every replica agrees.
//
// Unmapping and protection inside tracked memory go through the hooks, which a rollback undoes.
// What happens to file mappings is undone here: memory_rolled_back().
//
// Threads: calls from any application thread; what the pump calls is said beside it.
// Memory:  bookkeeping in the kernel arena (tracked). Errors: the kernel's; ENOMEM when an arena
//          (1 TiB each) is full.
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"

namespace evenkeel::kernel {

// What the snapshot, which stands above this layer, does for us. The defaults do the real call and
// track nothing.
struct MemoryHooks {
  // Inside one region: mprotect, and MADV_DONTNEED (the pages become zero).
  sys::Result (*protect)(Range range, int protection);
  sys::Result (*discard)(Range range);
  // Pump only. Private anonymous memory in kFileArena, readable and writable, from now on (not any
  // more) to be hashed and rolled back. Removal comes before the memory goes away.
  void (*region_added)(Range range, bool hashed);
  void (*region_removed)(Range range);
};
// Before any application thread runs.
void set_memory_hooks(const MemoryHooks& hooks);

// Maps the arenas. After arena::init(), before any other call.
void init_memory();

// A stack for the initial thread, with a guard page below. Before any application thread runs.
[[nodiscard]] Range allocate_stack(uint64_t bytes);

// ---- the pump's side; every application thread is parked

// A batch has ended, its written pages are not collected yet: announces new regions.
void memory_quiescent();
// Memory equals the committed image, because the batch was committed or because it was rolled back
// (call after the snapshot's own commit or rollback; before any thread runs).
void memory_committed();
void memory_rolled_back();

// This replica becomes a copy of another, whose threads are parked and whose last batch is
// committed. First, before memory is copied: anonymous memory where that one has announced regions
// in kFileArena, and nothing else there. Then its other mappings in kFileArena, one by one (what
// reads like a file without one, fd -1, is made of anonymous memory).
sys::Result take_over_regions(const Peer& peer);
sys::Result take_over_mapping(Range range, int protection, int fd, uint64_t offset);
// Visits the parts of the range that are mappings of files, ascending.
void for_each_file_part(Range range, void (*visit)(void* context, Range part, int protection),
                        void* context);

// Beyond used_end() an arena has never been touched. The visitor gets mapped ranges, ascending.
[[nodiscard]] uint64_t used_end(const Range& arena);
void for_each_used_range(const Range& arena, void (*visit)(void* context, Range range),
                         void* context);

}  // namespace evenkeel::kernel
