#include "shim/used_memory.h"

#include "runtime/core/arena.h"
#include "runtime/core/heap.h"
#include "runtime/kernel/memory.h"
#include "snapshot/snapshot.h"

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

// Ranges of one arena on their way to the snapshot.
struct Parts {
  static constexpr size_t kMax = 4096;  // x 16 B; more: the last one covers the rest
  Range arena;
  Range ranges[kMax];
  size_t count;

  void add(Range range) {
    if (count == kMax) {
      ranges[kMax - 1].bytes = range.end() - ranges[kMax - 1].begin;
    } else {
      ranges[count++] = range;
    }
  }
  void tell() {
    snapshot::set_used_ranges(arena, ranges, count);
    count = 0;
  }
};
constinit Parts g_heap = {kHeapArena, {}, 0};
constinit Parts g_heap_meta = {kHeapMetaArena, {}, 0};

UsedArena used(Range arena, uint64_t end) { return {arena, page_ceil(end) - arena.begin}; }

std::array<UsedArena, 3> other_arenas() {
  return {used(kKernelArena, arena::used_end()), used(kMapArena, kernel::used_end(kMapArena)),
          used(kStackArena, kernel::used_end(kStackArena))};
}

}  // namespace

std::array<UsedArena, 5> used_arenas() {
  const HeapEnds ends = heap_ends();
  const auto [kernel, maps, stacks] = other_arenas();
  return {used(kHeapArena, ends.heap), used(kHeapMetaArena, ends.meta), kernel, maps, stacks};
}

void tell_used_memory() {
  heap::for_each_used_range(
      [](void*, Range range) {
        (kHeapArena.contains(range.begin) ? g_heap : g_heap_meta).add(range);
      },
      nullptr);
  g_heap.tell();
  g_heap_meta.tell();
  for (const auto& [arena, used_bytes] : other_arenas()) {
    const Range used{arena.begin, used_bytes};
    snapshot::set_used_ranges(arena, &used, 1);
  }
}

}  // namespace evenkeel::shim
