#include "verify/verify.h"

#include "runtime/core/check.h"
#include "verify/hash.h"
#include "verify/masks.h"
#include "verify/ranges.h"
#include "verify/tree.h"

namespace evenkeel::verify {
namespace {

constinit Tree tree;
constinit Ranges ranges;
constinit Masks masks;

alignas(64) constinit uint8_t masked_page[kPageBytes] = {};  // too large for a borrowed stack

wire::Token hash_page(uint64_t page) {
  const void* content = reinterpret_cast<const void*>(page);
  if (masks.apply(page, masked_page)) content = masked_page;
  if (is_zero_page(content)) return {0, 0};
  return hash_bytes(content, kPageBytes, 0);
}

// Pages whose mask changed get a new leaf although nobody wrote to them.
void rehash_masked(Range range) {
  for (uint64_t page = page_floor(range.begin); page < range.end(); page += kPageBytes) {
    const uint64_t position = ranges.position(page);
    if (position != Ranges::kNowhere) tree.set_leaf(position, page, hash_page(page));
  }
}

}  // namespace

sys::Result init() {
  choose_hash();
  const auto mapped = tree.map();
  if (!mapped.ok()) return mapped;
  masks.clear();
  ranges.clear(uint64_t{1} << kLeavesLog2);
  for (const Range arena : {kHeapArena, kMapArena}) {
    const auto added = ranges.add(arena);
    if (!added.ok()) return added;
  }
  return sys::Result(0);
}

sys::Result add_range(Range range) { return ranges.add(range); }

sys::Result remove_range(Range range) {
  const uint64_t first = ranges.position(range.begin);
  const auto removed = ranges.remove(range);
  if (!removed.ok()) return removed;
  for (uint64_t i = 0; i < range.bytes / kPageBytes; ++i) {
    tree.set_leaf(first + i, range.begin + i * kPageBytes, {0, 0});
  }
  tree.climb();
  return removed;
}

sys::Result ignore(Range range) { return masks.add(range); }
sys::Result stop_ignoring(Range range) { return masks.remove(range); }

void update(const uint64_t* pages, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint64_t position = ranges.position(pages[i]);
    EVENKEEL_CHECK(position != Ranges::kNowhere);
    tree.set_leaf(position, pages[i], hash_page(pages[i]));
  }
  masks.take_changed(rehash_masked);
  tree.climb();
}

wire::Token root() { return tree.root(); }

void settle() {
  tree.settle();
  masks.settle();
}

void undo() {
  tree.undo();
  masks.undo();
}

sys::Result take_over(const Peer& peer) {
  const auto mapped = tree.map();
  if (!mapped.ok()) return mapped;
  const auto placed = peer.take(ranges);
  return placed.ok() ? peer.take(masks) : placed;
}

sys::Result peer_root(const Peer& peer, wire::Token& root) {
  return peer.read(reinterpret_cast<uint64_t>(tree.root_address()), &root, sizeof root);
}

Changed changed() {
  const wire::Leaf* leaves = nullptr;
  const size_t count = tree.changed(leaves);
  return {leaves, count};
}

}  // namespace evenkeel::verify
