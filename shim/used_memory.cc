#include "shim/used_memory.h"

#include "runtime/core/arena.h"
#include "runtime/core/heap.h"
#include "runtime/kernel/memory.h"

namespace evenkeel::shim {
namespace {

struct HeapEnds {
  uint64_t heap = kHeapArena.begin;
  uint64_t meta = kHeapMetaArena.begin;
};

HeapEnds heap_ends() {
  HeapEnds ends;
  heap::for_each_used_range(
      [](void* context, Range range) {
        auto& found = *static_cast<HeapEnds*>(context);
        (kHeapArena.contains(range.begin) ? found.heap : found.meta) = range.end();
      },
      &ends);
  return ends;
}

UsedArena used(Range arena, uint64_t end) { return {arena, page_ceil(end) - arena.begin}; }

}  // namespace

std::array<UsedArena, 5> used_arenas() {
  const HeapEnds ends = heap_ends();
  return {used(kHeapArena, ends.heap), used(kHeapMetaArena, ends.meta),
          used(kKernelArena, arena::used_end()), used(kMapArena, kernel::used_end(kMapArena)),
          used(kStackArena, kernel::used_end(kStackArena))};
}

}  // namespace evenkeel::shim
