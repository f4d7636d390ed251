#pragma once
// Incremental Merkle tree over the hashed pages, and the token that replicas compare.
//
// A leaf is the XXH3-128 of one 4 KiB page; the position of a leaf follows from the page's address,
// so equal memory gives equal trees whatever order it was written in. An all-zero page has the leaf
// {0, 0}, the same as a page never touched. Inner nodes hash their children; an inner node whose
// children are all {0, 0} is {0, 0}. Only changed leaves and their paths are recomputed.
//
// Threads: one at a time, the pump. Memory: node arrays in kTreeArena, sparse; an undo log.
// Errors:  none at run time; init() returns the kernel's errno.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"
#include "runtime/wire.h"

namespace evenkeel::verify {

sys::Result init();

// Gives the pages of [range) positions in the tree. Ranges must be added in the same order in every
// replica. kHeapArena and kMapArena are known from the start. Positions are never used twice.
// EEXIST: overlaps a known range; ENOSPC: too many. The leaves are those of zero pages until
// update().
sys::Result add_range(Range range);
// A library was unloaded: its leaves become zero, its addresses may be added anew. ENOENT: not
// added.
sys::Result remove_range(Range range);

// Bytes that may differ between replicas; masked with zeros before hashing. Rounded to nothing: any
// start and size, inside known ranges or not. At most kMaxIgnored ranges; more: returns ENOSPC.
// Once more the same range: nothing happens. stop_ignoring() takes exactly such a range, else
// ENOENT. Both take effect with the next update(), which also rehashes the pages that they concern,
// and are undone by undo().
constexpr uint32_t kMaxIgnored = 1024;
sys::Result ignore(Range range);
sys::Result stop_ignoring(Range range);

// Recomputes the leaf of each page, in any order; a page of no known range is fatal. Changes since
// the last settle() are undone by undo(). More than kMaxUndo (tree.h) changes of leaves between two
// settle() are fatal.
void update(const uint64_t* pages, size_t count);
[[nodiscard]] wire::Token root();
void settle();  // the batch was agreed
void undo();    // the batch was rolled back

// Leaves that differ from those of the last settle(), ascending by page. Valid until the next call.
struct Changed {
  const wire::Leaf* leaves;
  size_t count;
};
[[nodiscard]] Changed changed();

// This replica becomes a copy of another: positions and masks are that one's. The tree is empty:
// every page must be updated, then settled; peer_root() says what must come out.
sys::Result take_over(const Peer& peer);
sys::Result peer_root(const Peer& peer, wire::Token& root);

[[nodiscard]] wire::Token hash_bytes(const void* data, size_t bytes, uint64_t seed);
// The token of a batch: hash of (previous, root, outputs, batch).
[[nodiscard]] wire::Token chain(wire::Token previous, wire::Token root, wire::Token outputs,
                                uint64_t batch);

}  // namespace evenkeel::verify
