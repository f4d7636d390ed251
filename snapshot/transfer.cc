#include "snapshot/transfer.h"

#include <sys/mman.h>

#include <cstring>

#include "snapshot/bits.h"
#include "snapshot/image.h"

namespace evenkeel::snapshot::transfer {
namespace {

// A region of this size is one of the runtime's arenas: nothing in it is in use while the replica
// is parked. Smaller ones are libraries' data, libc's among them, which our own memcpy() consults:
// no page of them may be zero in between.
constexpr uint64_t kArenaBytes = kGiB;

sys::Result read_used_ranges(const Peer& peer, const Region& theirs, Region& own) {
  own.used_known = theirs.used_known;
  own.used_count = theirs.used_count;
  if (!own.used_known) return sys::Result(0);
  return peer.read(reinterpret_cast<uint64_t>(theirs.used), own.used,
                   own.used_count * sizeof(Range));
}

// Calls visit(first, last) for the page indices of each used range, until it fails.
template <typename Visit>
sys::Result for_each_used_pages(const Region& region, Visit visit) {
  auto result = sys::Result(0);
  for_each_used(region, [&](Range used) {
    if (!result.ok()) return;
    result = visit(region.page_index(used.begin),
                   region.page_index(used.begin) + used.bytes / kPageBytes);
  });
  return result;
}

sys::Result read_bits(const Peer& peer, const Region& theirs, Region& own) {
  return for_each_used_pages(own, [&](uint64_t first, uint64_t last) {
    const uint64_t word = first / kBitsPerWord;
    const uint64_t words = (last + kBitsPerWord - 1) / kBitsPerWord - word;
    return peer.read(reinterpret_cast<uint64_t>(theirs.has_image + word), own.has_image + word,
                     words * sizeof(uint64_t));
  });
}

sys::Result read_protections(const Peer& peer, const Region& theirs, Region& own) {
  if (!theirs.restricted.load(std::memory_order_relaxed)) return sys::Result(0);
  const auto done = for_each_used_pages(own, [&](uint64_t first, uint64_t last) {
    return peer.read(reinterpret_cast<uint64_t>(theirs.protection + first), own.protection + first,
                     last - first);
  });
  if (done.ok()) own.restricted.store(true, std::memory_order_relaxed);
  return done;
}

uint64_t address_of(const Region& region, uint64_t index) {
  return region.range.begin + index * kPageBytes;
}

// First clear bit in [from, limit), or limit.
uint64_t end_of_run(const uint64_t* bits, uint64_t from, uint64_t limit) {
  while (from < limit && test_bit(bits, from)) ++from;
  return from;
}

// A fault for each page would be the most expensive part. Refused before Linux 5.14: then they
// come.
void populate(void* address, uint64_t bytes, int advice) {
  constexpr uint64_t kWorthwhileBytes = 64 << 10;
  if (bytes >= kWorthwhileBytes) sys::madvise(address, bytes, advice).ignore();
}

sys::Result copy_present(const Peer& peer, const Region& own, bool shared) {
  return for_each_used_pages(own, [&](uint64_t first, uint64_t last) {
    uint64_t at = next_bit(own.has_image, first, last);
    while (at < last) {
      const uint64_t end = end_of_run(own.has_image, at, last);
      void* to = as_pointer(address_of(own, at));
      const uint64_t bytes = (end - at) * kPageBytes;
      populate(to, bytes, MADV_POPULATE_WRITE);
      if (shared) {
        void* image = own.image_at(address_of(own, at));
        populate(image, bytes, MADV_POPULATE_READ);
        std::memcpy(to, image, bytes);
      } else if (const auto read = peer.read(address_of(own, at), to, bytes); !read.ok()) {
        return read;
      }
      at = next_bit(own.has_image, end, last);
    }
    return sys::Result(0);
  });
}

// What was here before and is not there.
sys::Result clear_absent(const Region& own) {
  if (own.range.bytes >= kArenaBytes) {
    return sys::madvise(as_pointer(own.range.begin), own.range.bytes, MADV_DONTNEED);
  }
  for (uint64_t i = 0; i < own.pages(); ++i) {
    void* page = as_pointer(address_of(own, i));
    if (!test_bit(own.has_image, i) && !image::is_zero(page)) std::memset(page, 0, kPageBytes);
  }
  return sys::Result(0);
}

}  // namespace

sys::Result copy(const Peer& peer, const Region& theirs, Region& own, bool shared) {
  auto result = read_used_ranges(peer, theirs, own);
  if (result.ok()) result = read_bits(peer, theirs, own);
  if (result.ok()) result = clear_absent(own);
  if (result.ok()) result = copy_present(peer, own, shared);
  if (result.ok()) result = read_protections(peer, theirs, own);
  return result;
}

}  // namespace evenkeel::snapshot::transfer
