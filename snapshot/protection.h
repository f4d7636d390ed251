#pragma once
// The protection that the application asked for, page by page, and the one in force.
//
// In force = the application's, less the right to write where kMprotect waits for the first write.
// Changes within a batch are journalled so that a rollback undoes them.
//
// Threads: change() from any; the rest while all are parked, or on pages of the caller's own.
// Memory:  one byte per page in Region::protection, touched only for ranges that were changed; the
//          journal in the book. Errors: kernel errno; a full journal is fatal.
#include <cstdint>

#include "snapshot/region.h"

namespace evenkeel::snapshot::protection {

// 4 Mi changes x 24 B = 96 MiB of address space.
constexpr uint64_t kMaxChanges = uint64_t{1} << 22;

// `guard_writes`: kMprotect, a page not yet written is not writable.
void init(bool guard_writes);

// What the application asked for: PROT_ bits. Read and write unless changed.
[[nodiscard]] int wanted(const Region& region, uint64_t index);
[[nodiscard]] int in_force(const Region& region, uint64_t index);

sys::Result change(Region& region, Range range, int protection);
// Puts in force what in_force() says for pages [first, last), in as few calls as possible.
sys::Result apply(const Region& region, uint64_t first, uint64_t last);

// Dies if the kernel refused where no caller could go on.
void must(sys::Result done);
// Makes one page accessible for the runtime until restore_lifted().
void lift(uint64_t page);
void restore_lifted();

void keep_changes();  // commit
void undo_changes();  // rollback

}  // namespace evenkeel::snapshot::protection
