#include "snapshot/core_file.h"

#include <sys/mman.h>

#include "snapshot/region.h"
#include "snapshot/snapshot.h"

namespace evenkeel::snapshot {
namespace {

// What the server may still allocate before it crashes is worth seeing too: 16384 pages are looked
// at in about 2 ms.
constexpr uint64_t kSlackBytes = 64 << 20;

// Best effort: failure makes the file larger. ENOMEM only says that there are holes in between.
void leave_out(uint64_t begin, uint64_t end) {
  if (begin < end) sys::madvise(as_pointer(begin), end - begin, MADV_DONTDUMP).ignore();
}

void leave_out_unused(const Region& region) {
  uint64_t kept_end = region.range.begin;
  for_each_used(region, [&](Range used) {
    leave_out(kept_end, used.begin);
    kept_end = used.end();
  });
  if (kept_end + kSlackBytes < region.range.end()) {
    leave_out(kept_end + kSlackBytes, region.range.end());
  }
}

}  // namespace

void shrink_core_file() {
  for (const Range& arena : {kKernelArena, kHeapMetaArena, kDeckArena, kTreeArena, kImageArena}) {
    leave_out(arena.begin, arena.end());
  }
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    if (region.kind == Kind::kHashed || region.kind == Kind::kStack) leave_out_unused(region);
  }
}

}  // namespace evenkeel::snapshot
