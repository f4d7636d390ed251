#pragma once
// The table of regions, sorted by address, and where their images and bookkeeping lie.
//
//   kImageArena  [0, 8 TiB)   shared images, offset = file offset in Config::image_fd
//                [8, 15 TiB)  private images
//                [15, 16 TiB) bitmaps, page lists: what snapshot itself needs
//
// Threads: the table changes only while every application thread is parked; lookups from any.
// Memory:  the above, mapped sparse by map_arenas(); the table itself is static.
// Errors:  kernel errno; ENOSPC beyond the constants below.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"
#include "snapshot/snapshot.h"

namespace evenkeel::snapshot {

constexpr uint64_t kMaxRegions = 2048;     // heap, maps, stacks, kernel + two per loaded library
constexpr size_t kMaxUsedRanges = 16384;   // of a region; more: the last one covers the rest
constexpr uint64_t kBlockBytes = 2 << 20;  // what one page table maps
constexpr uint64_t kSharedImageBytes = 8 * kTiB;
constexpr uint64_t kPrivateImageBytes = 7 * kTiB;
constexpr uint64_t kBookBytes = 1 * kTiB;
static_assert(kSharedImageBytes + kPrivateImageBytes + kBookBytes == kImageArena.bytes);

struct Region {
  Range range;
  Kind kind;
  // True once protect() was used: only then are `protection` bytes read.
  std::atomic<bool> restricted;
  uint8_t* image;       // of range.begin
  uint64_t* has_image;  // bit per page; clear: the image is zero and its memory must not be read
  uint64_t* written;    // bit per page, kMprotect only: unprotected and listed
  uint64_t* sealed;     // bit per block, kUserfaultfd only: see scan_plan.h
  uint8_t* protection;  // byte per page, see protection.h
  // Where pages can have been written, ascending, disjoint. Not known: everywhere.
  Range* used;
  size_t used_count;
  bool used_known;

  [[nodiscard]] uint64_t page_index(uint64_t address) const {
    return (address - range.begin) / kPageBytes;
  }
  [[nodiscard]] uint64_t pages() const { return range.bytes / kPageBytes; }
  // Blocks are aligned in the address space, not in the region.
  [[nodiscard]] uint64_t block_index(uint64_t address) const {
    return address / kBlockBytes - range.begin / kBlockBytes;
  }
  [[nodiscard]] uint64_t blocks() const { return block_index(range.end() - 1) + 1; }
  [[nodiscard]] uint8_t* image_at(uint64_t address) const {
    return image + (page_floor(address) - range.begin);
  }
};

sys::Result map_arenas(int image_fd);
void unmap_arenas();  // after a failed init()

// Memory for bookkeeping, page aligned, zero, never given back by address.
void* book_allocate(uint64_t bytes);

// `shared`: the image lies in the shared file.
sys::Result insert_region(Range range, Kind kind, bool shared);
// The regions of another replica, as its own table has them: pointers lead into its memory, but
// shared images lie at the same addresses here. `shared_used_bytes` is where its next shared image
// begins. Valid until the next call.
struct PeerRegions {
  const Region* regions;
  size_t count;
  uint64_t shared_used_bytes;
};
sys::Result read_peer_regions(const Peer& peer, PeerRegions& out);
// The same region here, its shared image at the same place: in the order of the peer's table.
sys::Result insert_peer_region(const Region& theirs, bool shared);
void set_shared_used(uint64_t bytes);

// Forgets the region and frees its image and bookkeeping.
void erase_region(Range range);

// Clips, rounds to pages and joins what overlaps; `used` must ascend. False: as before.
bool set_used(Region& region, const Range* used, size_t count);

template <typename Visit>
void for_each_used(const Region& region, Visit visit) {
  if (!region.used_known) return visit(region.range);
  for (size_t i = 0; i < region.used_count; ++i) visit(region.used[i]);
}

[[nodiscard]] size_t region_count();
[[nodiscard]] Region& region_at(size_t index);
[[nodiscard]] Region* find_region(uint64_t address);
// The first region that ends above `address`; region_count() if none.
[[nodiscard]] size_t region_index_from(uint64_t address);

// Regions of ascending addresses without a search per page.
class RegionCursor {
 public:
  // The region of `address`, or nullptr.
  Region* at(uint64_t address) {
    if (region_ == nullptr || !region_->range.contains(address)) region_ = find_region(address);
    return region_;
  }

 private:
  Region* region_ = nullptr;
};

inline void* as_pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace evenkeel::snapshot
