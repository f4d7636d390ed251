#include "shim/describe.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/heap.h"
#include "shim/marks.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

constexpr size_t kChunk =
    256;  // pages handed to the tree at once: 2 KiB of stack would be too much
constinit uint64_t g_pages[kChunk];

void list_objects(uint64_t page, wire::PageDump& out) {
  out.object_count = 0;
  out.objects_truncated = 0;
  for (uint64_t at = page; at < page + kPageBytes;) {
    heap::Object object{};
    if (!heap::object_at(at, object)) {
      at += heap::kMinAlignment;
      continue;
    }
    if (out.object_count == wire::kMaxObjects) {
      out.objects_truncated = 1;
      return;
    }
    out.objects[out.object_count++] = {object.base, object.bytes,
                                       static_cast<uint32_t>(object.lane), object.live ? 0u : 1u,
                                       object.sequence};
    at = std::max(at + heap::kMinAlignment, object.base + object.bytes);
    at = (at + heap::kMinAlignment - 1) & ~(heap::kMinAlignment - 1);
  }
}

}  // namespace

uint32_t hash_changed(const snapshot::DirtyPages& dirty, bool all) {
  size_t waiting = 0;
  uint32_t changed = 0;
  for (size_t i = 0; i < dirty.count; ++i) {
    const snapshot::DirtyPage& page = dirty.pages[i];
    if (page.kind != snapshot::Kind::kHashed || (page.unchanged && !all)) continue;
    g_pages[waiting++] = page.address;
    ++changed;
    if (waiting == kChunk) {
      verify::update(g_pages, waiting);
      waiting = 0;
    }
  }
  verify::update(g_pages, waiting);
  return changed;
}

void describe(wire::Replica& replica) {
  const verify::Changed changed = verify::changed();
  wire::Report& report = replica.report;
  const size_t listed = std::min<size_t>(changed.count, wire::kMaxLeaves);
  std::memcpy(report.leaves, changed.leaves, listed * sizeof(wire::Leaf));
  report.leaf_count = static_cast<uint32_t>(listed);
  report.leaves_truncated = listed < changed.count ? 1 : 0;
  list_names(report);
}

void dump(const wire::Deck& deck, wire::Replica& replica) {
  const uint32_t count = std::min(deck.command.dump_count, wire::kMaxDumpPages);
  for (uint32_t i = 0; i < count; ++i) {
    wire::PageDump& out = replica.report.dumps[i];
    out.page = deck.dump_pages[i];
    std::memcpy(out.bytes, reinterpret_cast<const void*>(out.page), sizeof out.bytes);
    if (kHeapArena.contains(out.page)) {
      list_objects(out.page, out);
    } else {
      out.object_count = 0;
      out.objects_truncated = 0;
    }
  }
}

}  // namespace evenkeel::shim
