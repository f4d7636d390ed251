#include "snapshot/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>

#include "runtime/core/check.h"
#include "snapshot/bits.h"

namespace evenkeel::snapshot {
namespace {

constexpr uint64_t kPrivateBegin = kImageArena.begin + kSharedImageBytes;
constexpr uint64_t kBookBegin = kPrivateBegin + kPrivateImageBytes;

constinit Region regions[kMaxRegions] = {};
constinit size_t count = 0;
// Bump pointers. Address space of removed regions is not reused: offsets must stay equal in all
// replicas, and at 12 KiB a library the book lasts for 80 million dlopen() calls.
constinit uint64_t shared_used_bytes = 0;
constinit uint64_t private_used_bytes = 0;
constinit uint64_t book_used_bytes = 0;

sys::Result map_private(uint64_t begin, uint64_t bytes) {
  return sys::mmap(as_pointer(begin), bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

// The file has its full (sparse) size from the start: replicas that grew it by turns could shrink
// it under each other.
sys::Result size_image_file(int fd) {
  struct stat status = {};
  const auto stated = sys::call(SYS_fstat, fd, sys::arg(&status));
  if (!stated.ok()) return stated;
  if (static_cast<uint64_t>(status.st_size) >= kSharedImageBytes) return sys::Result(0);
  return sys::call(SYS_ftruncate, fd, static_cast<long>(kSharedImageBytes));
}

sys::Result map_shared(int fd) {
  if (fd < 0) return map_private(kImageArena.begin, kSharedImageBytes);
  const auto sized = size_image_file(fd);
  if (!sized.ok()) return sized;
  return sys::mmap(as_pointer(kImageArena.begin), kSharedImageBytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
}

// Whole words: next_bit() reads by word.
uint64_t bitmap_bytes(uint64_t bits) {
  return (bits + kBitsPerWord - 1) / kBitsPerWord * sizeof(uint64_t);
}

bool overlaps(Range a, Range b) { return a.begin < b.end() && b.begin < a.end(); }

sys::Result check_range(Range range) {
  if (range.bytes == 0 || range.begin % kPageBytes != 0 || range.bytes % kPageBytes != 0) {
    return sys::Result(-EINVAL);
  }
  if (count == kMaxRegions) return sys::Result(-ENOSPC);
  const size_t next = region_index_from(range.begin);
  if (next < count && overlaps(regions[next].range, range)) return sys::Result(-EEXIST);
  return sys::Result(0);
}

// Region has an atomic, so elements are moved by hand.
void move_region(Region& to, const Region& from) {
  to.range = from.range;
  to.kind = from.kind;
  to.restricted.store(from.restricted.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to.image = from.image;
  to.has_image = from.has_image;
  to.written = from.written;
  to.sealed = from.sealed;
  to.protection = from.protection;
  to.used = from.used;
  to.used_count = from.used_count;
  to.used_known = from.used_known;
}

Region& open_slot(size_t slot) {
  for (size_t i = count; i > slot; --i) move_region(regions[i], regions[i - 1]);
  ++count;
  return regions[slot];
}

struct PeerPart {
  const void* own;
  void* to;
  size_t bytes;
};

void drop_memory(const void* address, uint64_t bytes, int advice) {
  // Best effort: memory that stays is only memory; its content is never looked at again.
  sys::madvise(const_cast<void*>(address), page_ceil(bytes), advice).ignore();
}

}  // namespace

sys::Result map_arenas(int image_fd) {
  const auto shared = map_shared(image_fd);
  if (!shared.ok()) return shared;
  const auto own = map_private(kPrivateBegin, kPrivateImageBytes + kBookBytes);
  if (!own.ok()) {
    // Nothing is left to do for a failed unmap: the caller gives up anyway.
    sys::munmap(as_pointer(kImageArena.begin), kSharedImageBytes).ignore();
    return own;
  }
  // Images double every byte of a core dump. Failure only makes the dump larger.
  sys::madvise(as_pointer(kImageArena.begin), kImageArena.bytes, MADV_DONTDUMP).ignore();
  // A copy of the process keeps memory, which is what the image is. Failure makes it larger.
  sys::madvise(as_pointer(kPrivateBegin), kPrivateImageBytes, MADV_DONTFORK).ignore();
  return sys::Result(0);
}

void unmap_arenas() {
  sys::munmap(as_pointer(kImageArena.begin), kImageArena.bytes).ignore();  // nothing to undo to
  count = 0;
  shared_used_bytes = private_used_bytes = book_used_bytes = 0;
}

void* book_allocate(uint64_t bytes) {
  const uint64_t begin = kBookBegin + book_used_bytes;
  book_used_bytes += page_ceil(bytes);
  EVENKEEL_CHECK(book_used_bytes <= kBookBytes);
  return as_pointer(begin);
}

sys::Result read_peer_regions(const Peer& peer, PeerRegions& out) {
  // A copy of the peer's table, not ours: a Region has an atomic and cannot be assigned.
  alignas(Region) static constinit uint8_t table[sizeof regions] = {};
  size_t theirs = 0;
  for (const auto& [own, to, bytes] :
       {PeerPart{&count, &theirs, sizeof theirs}, PeerPart{regions, table, sizeof table},
        PeerPart{&shared_used_bytes, &out.shared_used_bytes, sizeof out.shared_used_bytes}}) {
    const auto done = peer.read(reinterpret_cast<uint64_t>(own), to, bytes);
    if (!done.ok()) return done;
  }
  if (theirs > kMaxRegions) return sys::Result(-EINVAL);
  out.regions = reinterpret_cast<const Region*>(table);
  out.count = theirs;
  return sys::Result(0);
}

sys::Result insert_peer_region(const Region& theirs, bool shared) {
  const uint64_t next = shared_used_bytes;
  if (shared) shared_used_bytes = reinterpret_cast<uint64_t>(theirs.image) - kImageArena.begin;
  const auto inserted = insert_region(theirs.range, theirs.kind, shared);
  shared_used_bytes = next;
  return inserted;
}

void set_shared_used(uint64_t bytes) { shared_used_bytes = bytes; }

sys::Result insert_region(Range range, Kind kind, bool shared) {
  const auto checked = check_range(range);
  if (!checked.ok()) return checked;
  uint64_t& used = shared ? shared_used_bytes : private_used_bytes;
  if (range.bytes > (shared ? kSharedImageBytes : kPrivateImageBytes) - used) {
    return sys::Result(-ENOSPC);
  }
  Region& region = open_slot(region_index_from(range.begin));
  region.range = range;
  region.kind = kind;
  region.restricted.store(false, std::memory_order_relaxed);
  region.image =
      static_cast<uint8_t*>(as_pointer((shared ? kImageArena.begin : kPrivateBegin) + used));
  used += range.bytes;
  region.has_image = static_cast<uint64_t*>(book_allocate(bitmap_bytes(region.pages())));
  region.written = static_cast<uint64_t*>(book_allocate(bitmap_bytes(region.pages())));
  region.sealed = static_cast<uint64_t*>(book_allocate(bitmap_bytes(region.blocks())));
  region.protection = static_cast<uint8_t*>(book_allocate(region.pages()));
  region.used = static_cast<Range*>(book_allocate(kMaxUsedRanges * sizeof(Range)));
  region.used_count = 0;
  region.used_known = false;
  return sys::Result(0);
}

void erase_region(Range range) {
  const size_t slot = region_index_from(range.begin);
  EVENKEEL_CHECK(slot < count);
  EVENKEEL_CHECK(regions[slot].range.begin == range.begin);
  const Region& region = regions[slot];
  const bool shared = reinterpret_cast<uint64_t>(region.image) < kPrivateBegin;
  // A shared image may in truth be private (one replica): then MADV_REMOVE fails, DONTNEED works.
  if (shared) drop_memory(region.image, range.bytes, MADV_REMOVE);
  drop_memory(region.image, range.bytes, MADV_DONTNEED);
  drop_memory(region.has_image, bitmap_bytes(region.pages()), MADV_DONTNEED);
  drop_memory(region.written, bitmap_bytes(region.pages()), MADV_DONTNEED);
  drop_memory(region.sealed, bitmap_bytes(region.blocks()), MADV_DONTNEED);
  drop_memory(region.protection, region.pages(), MADV_DONTNEED);
  drop_memory(region.used, region.used_count * sizeof(Range), MADV_DONTNEED);
  for (size_t i = slot + 1; i < count; ++i) move_region(regions[i - 1], regions[i]);
  --count;
}

bool set_used(Region& region, const Range* used, size_t count) {
  size_t kept = 0;
  bool changed = !region.used_known;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t begin = std::max(page_floor(used[i].begin), region.range.begin);
    const uint64_t end = std::min(page_ceil(used[i].end()), region.range.end());
    if (begin >= end) continue;
    Range* const last = kept == 0 ? nullptr : &region.used[kept - 1];
    EVENKEEL_CHECK(last == nullptr || last->begin <= begin);
    if (last != nullptr && (begin <= last->end() || kept == kMaxUsedRanges)) {
      const uint64_t joined_bytes = std::max(last->end(), end) - last->begin;
      changed = changed || joined_bytes != last->bytes;
      last->bytes = joined_bytes;
      continue;
    }
    const Range range = {begin, end - begin};
    Range& slot = region.used[kept++];
    changed = changed || slot.begin != range.begin || slot.bytes != range.bytes;
    slot = range;
  }
  changed = changed || kept != region.used_count;
  region.used_count = kept;
  region.used_known = true;
  return changed;
}

size_t region_count() { return count; }
Region& region_at(size_t index) { return regions[index]; }

size_t region_index_from(uint64_t address) {
  size_t low = 0;
  size_t high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (regions[middle].range.end() <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

Region* find_region(uint64_t address) {
  const size_t index = region_index_from(address);
  if (index == count || !regions[index].range.contains(address)) return nullptr;
  return &regions[index];
}

}  // namespace evenkeel::snapshot
