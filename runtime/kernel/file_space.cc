#include "runtime/kernel/file_space.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/check.h"
#include "runtime/kernel/address_space.h"
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel::files {
namespace {

using space::as_pointer;
using space::kReadWrite;

// Mapping of the image that was moved away from where it belongs.
struct Aside {
  Range home;
  uint64_t moved_to;
};

// Runtime memory: describes what the kernel has, which no rollback of memory changes.
struct KernelSide {
  Range regions[kMaxRegions];  // announced, ascending
  uint32_t region_count;
  Aside aside[kMaxAside];
  uint32_t aside_count;
  bool changed;       // some mapping was, since the last commit or rollback
  uint64_t used_end;  // nothing was ever mapped beyond
};
constinit KernelSide g{};

AddressMap& map() { return space::spaces().files; }

long map_fixed(Range range, int protection, int flags, int fd, uint64_t offset) {
  g.changed = true;
  if (range.end() > g.used_end) g.used_end = range.end();
  const auto mapped = sys::mmap(as_pointer(range.begin), range.bytes, protection,
                                MAP_PRIVATE | MAP_FIXED | flags, fd, offset);
  return mapped.ok() ? 0 : mapped.value();
}

long make_inaccessible(Range range) {
  return map_fixed(range, PROT_NONE, MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

long protect_plainly(Range range, int protection) {
  g.changed = true;
  return sys::mprotect(as_pointer(range.begin), range.bytes, protection).value();
}

// ---- announced regions

// First region that ends above the address; region_count if none.
uint32_t region_from(uint64_t address) {
  uint32_t i = 0;
  while (i < g.region_count && g.regions[i].end() <= address) ++i;
  return i;
}

// Calls visit(part, announced) for the range, cut at the borders of regions.
template <typename Visit>
void for_each_part(Range range, Visit&& visit) {
  uint64_t at = range.begin;
  for (uint32_t i = region_from(at); at < range.end(); ++i) {
    const bool last = i == g.region_count || g.regions[i].begin >= range.end();
    const uint64_t gap_end = last ? range.end() : g.regions[i].begin;
    if (at < gap_end) visit(Range{at, gap_end - at}, false);
    if (last) return;
    at = gap_end > at ? gap_end : at;
    const uint64_t end = g.regions[i].end() < range.end() ? g.regions[i].end() : range.end();
    visit(Range{at, end - at}, true);
    at = end;
  }
}

void insert_region(Range range) {
  const uint32_t at = region_from(range.begin);
  std::memmove(&g.regions[at + 1], &g.regions[at], (g.region_count - at) * sizeof(Range));
  g.regions[at] = range;
  ++g.region_count;
}

void erase_region(uint32_t at) {
  --g.region_count;
  std::memmove(&g.regions[at], &g.regions[at + 1], (g.region_count - at) * sizeof(Range));
}

// Puts protections in force that are not the usual one.
void restrict(Range region) {
  map().visit(region, [](Range part, const Attributes& attributes) {
    if (attributes.protection == kReadWrite) return;
    const auto done = space::hooks().protect(part, attributes.protection);
    if (!done.ok()) EVENKEEL_DIE("cannot restore a file mapping's protection", "errno", done.err());
  });
}

// The snapshot wants it readable and writable first, and learns of other protections after that.
void announce(Range range) {
  if (g.region_count == kMaxRegions) {
    count_unhandled("too many writable library segments");
    return;
  }
  EVENKEEL_CHECK(protect_plainly(range, kReadWrite) == 0);
  space::hooks().region_added(range, true);
  insert_region(range);
  restrict(range);
}

bool still_anonymous(Range range) {
  bool anonymous = true;
  map().visit(range, [&](Range, const Attributes& attributes) {
    anonymous &= attributes.kind == PieceKind::kAnonymous;
  });
  return anonymous;
}

// Regions of which some part has gone. What is left is announced anew when the batch ends.
void withdraw_lost_regions() {
  for (uint32_t i = g.region_count; i-- > 0;) {
    const Range region = g.regions[i];
    if (still_anonymous(region)) continue;
    space::hooks().region_removed(region);
    erase_region(i);
  }
}

// ---- moving aside

bool of_the_image(const Attributes& attributes) {
  if (attributes.content_end == 0) return false;  // no file mapping, nor was one
  return attributes.epoch != space::spaces().epoch;
}

// The place may be overwritten afterwards. DONTUNMAP (Linux 5.13 for files) leaves the mapping in
// place until then, so that other threads can go on executing in it.
void move_aside(Range range) {
  constexpr int kDontUnmap = 4;  // MREMAP_DONTUNMAP
  if (g.aside_count == kMaxAside) {
    count_unhandled("too many file mappings replaced at once");
    return;
  }
  const auto place = sys::mmap(nullptr, range.bytes, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (!place.ok()) EVENKEEL_DIE("no address space to move a mapping", "errno", place.err());
  const auto move = [&](int flags) {
    return sys::call(SYS_mremap, static_cast<long>(range.begin), static_cast<long>(range.bytes),
                     static_cast<long>(range.bytes), MREMAP_MAYMOVE | MREMAP_FIXED | flags,
                     place.value());
  };
  if (!move(kDontUnmap).ok() && !move(0).ok()) {
    sys::munmap(as_pointer(static_cast<uint64_t>(place.value())), range.bytes).ignore();
    count_unhandled("file mapping cannot be kept for a rollback");
    return;
  }
  g.aside[g.aside_count++] = {range, static_cast<uint64_t>(place.value())};
}

// A writable page of a file mapping must be tracked, so it becomes anonymous memory with the same
// content. Others see either mapping, never none.
long make_anonymous(Range part, const Attributes& before, int protection) {
  if ((before.protection & PROT_READ) == 0) {
    const long opened = protect_plainly(part, PROT_READ);
    if (opened != 0) return opened;
  }
  const auto copy =
      sys::mmap(nullptr, part.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!copy.ok()) return copy.value();
  if (before.content_end > part.begin) {  // beyond it a read raises SIGBUS
    const uint64_t end = before.content_end < part.end() ? before.content_end : part.end();
    std::memcpy(reinterpret_cast<void*>(copy.value()), as_pointer(part.begin), end - part.begin);
  }
  const bool aside = of_the_image(before);
  if (aside) move_aside(part);
  g.changed = true;
  const auto moved = sys::call(SYS_mremap, copy.value(), static_cast<long>(part.bytes),
                               static_cast<long>(part.bytes), MREMAP_MAYMOVE | MREMAP_FIXED,
                               static_cast<long>(part.begin));
  if (!moved.ok()) {
    // With the file's pages moved away there is nothing left that the server could be told of.
    if (aside) EVENKEEL_DIE("cannot replace a file mapping", "errno", moved.err());
    sys::munmap(reinterpret_cast<void*>(copy.value()), part.bytes).ignore();  // leaks if refused
    return moved.value();
  }
  map().set(part, {PieceKind::kAnonymous, static_cast<uint8_t>(protection), 0, 0});
  return protection == kReadWrite ? 0 : protect_plainly(part, protection);
}

uint64_t content_end(Range range, int real_fd, uint64_t offset) {
  struct stat status = {};
  const auto looked = sys::call(SYS_fstat, real_fd, sys::arg(&status));
  if (!looked.ok()) return range.begin;
  const auto size = static_cast<uint64_t>(status.st_size);
  const uint64_t bytes = size > offset ? page_ceil(size - offset) : 0;
  return range.begin + (bytes < range.bytes ? bytes : range.bytes);
}

long protect_anonymous(Range part, int protection) {
  long result = 0;
  for_each_part(part, [&](Range piece, bool announced) {
    if (result != 0) return;
    result = announced ? space::hooks().protect(piece, protection).value()
                       : protect_plainly(piece, protection);
  });
  return result;
}

// After a rollback: what the kernel has where the image has nothing, or another protection.
void restore_mappings() {
  if (!g.changed) return;
  const Range used{kFileArena.begin, g.used_end - kFileArena.begin};
  map().visit(used, [](Range part, const Attributes& attributes) {
    if (attributes.kind == PieceKind::kFree) {
      const long error = make_inaccessible(part);
      if (error != 0) EVENKEEL_DIE("cannot give a file mapping up", "errno", -error);
    } else if (attributes.content_end != 0) {
      EVENKEEL_CHECK(protect_plainly(part, attributes.protection) == 0);
    }
  });
  g.changed = false;
}

}  // namespace

void reserve() {
  const auto mapped =
      sys::mmap(as_pointer(kFileArena.begin), kFileArena.bytes, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot reserve the file arena", "errno", mapped.err());
  g.used_end = kFileArena.begin;
}

bool can_hold_file(Range range) {
  bool fits = true;
  map().visit(range, [&](Range, const Attributes& attributes) {
    fits &= attributes.kind == PieceKind::kFree || attributes.content_end != 0;
  });
  return fits;
}

long place_file(Range range, int protection, int real_fd, uint64_t offset) {
  map().visit(range, [](Range part, const Attributes& before) {
    if (of_the_image(before)) move_aside(part);
  });
  const long mapped = map_fixed(range, protection, 0, real_fd, offset);
  if (mapped != 0) return mapped;
  map().set(range, {PieceKind::kFile, static_cast<uint8_t>(protection), space::spaces().epoch,
                    content_end(range, real_fd, offset)});
  return 0;
}

long place_anonymous(Range part, const Attributes& before, int protection) {
  const bool was_anonymous = before.kind != PieceKind::kFree && before.content_end == 0;
  if (was_anonymous) {
    const long zeroed = zero(part);
    if (zeroed != 0) return zeroed;
    return before.protection == protection ? 0 : protect_anonymous(part, protection);
  }
  if (of_the_image(before)) move_aside(part);
  return map_fixed(part, protection, MAP_ANONYMOUS, -1, 0);
}

long zero(Range part) {
  long result = 0;
  for_each_part(part, [&](Range piece, bool announced) {
    if (result != 0) return;
    result = announced ? space::hooks().discard(piece).value()
                       : sys::madvise(as_pointer(piece.begin), piece.bytes, MADV_DONTNEED).value();
  });
  return result;
}

long protect(Range part, const Attributes& before, int protection) {
  const bool writable = (protection & PROT_WRITE) != 0;
  if (before.kind == PieceKind::kFile && writable) return make_anonymous(part, before, protection);
  const long result = before.kind == PieceKind::kFile ? protect_plainly(part, protection)
                                                      : protect_anonymous(part, protection);
  if (result != 0) return result;
  Attributes after = before;
  after.protection = static_cast<uint8_t>(protection);
  map().set(part, after);
  return 0;
}

void release(Range part, const Attributes& before) {
  Attributes after = before;
  after.kind = PieceKind::kReleased;
  map().set(part, after);
}

void announce_regions() {
  const Range used{kFileArena.begin, map().used_end() - kFileArena.begin};
  Range run{kFileArena.begin, 0};  // anonymous pieces without a gap
  const auto end_run = [&] {
    if (run.bytes == 0) return;
    // One new region at most between two announced ones.
    for (uint64_t at = run.begin; at < run.end();) {
      const uint32_t i = region_from(at);
      const bool last = i == g.region_count || g.regions[i].begin >= run.end();
      const uint64_t gap_end = last ? run.end() : g.regions[i].begin;
      if (gap_end > at) announce({at, gap_end - at});
      at = last ? run.end() : g.regions[region_from(gap_end)].end();
    }
  };
  map().visit(used, [&](Range part, const Attributes& attributes) {
    if (attributes.kind != PieceKind::kAnonymous) return;
    if (part.begin == run.end()) {
      run.bytes += part.bytes;
    } else {
      end_run();
      run = part;
    }
  });
  end_run();
}

void drop_released() {
  withdraw_lost_regions();
  const Range used{kFileArena.begin, map().used_end() - kFileArena.begin};
  map().visit(used, [](Range part, const Attributes& attributes) {
    if (attributes.kind != PieceKind::kReleased) return;
    const long error = make_inaccessible(part);
    if (error != 0) EVENKEEL_DIE("cannot give a file mapping up", "errno", -error);
    map().set(part, Attributes{});
  });
  g.changed = false;
}

void forget_aside() {
  while (g.aside_count != 0) {
    const Aside& aside = g.aside[--g.aside_count];
    sys::munmap(as_pointer(aside.moved_to), aside.home.bytes).ignore();  // leaks if refused
  }
}

void restore_aside() {
  withdraw_lost_regions();
  while (g.aside_count != 0) {
    const Aside& aside = g.aside[--g.aside_count];
    const auto back =
        sys::call(SYS_mremap, static_cast<long>(aside.moved_to),
                  static_cast<long>(aside.home.bytes), static_cast<long>(aside.home.bytes),
                  MREMAP_MAYMOVE | MREMAP_FIXED, static_cast<long>(aside.home.begin));
    if (!back.ok()) EVENKEEL_DIE("cannot bring a mapping back", "address", aside.home.begin);
  }
  restore_mappings();
}

// The protections of a region that was announced after the last commit were set in the batch that
// has been rolled back, so the snapshot has undone them.
void restore_protections() {
  for (uint32_t i = 0; i < g.region_count; ++i) restrict(g.regions[i]);
}

sys::Result take_over(const Peer& peer) {
  if (g.used_end > kFileArena.begin) {
    const long emptied = make_inaccessible({kFileArena.begin, g.used_end - kFileArena.begin});
    if (emptied != 0) return sys::Result(emptied);
  }
  const auto taken = peer.take(g);
  if (!taken.ok()) return taken;
  if (g.region_count > kMaxRegions || g.aside_count != 0) return sys::Result(-EINVAL);
  for (uint32_t i = 0; i < g.region_count; ++i) {
    const long mapped = map_fixed(g.regions[i], kReadWrite, MAP_ANONYMOUS, -1, 0);
    if (mapped != 0) return sys::Result(mapped);
  }
  g.changed = false;
  return sys::Result(0);
}

long take_over_mapping(Range range, int protection, int fd, uint64_t offset) {
  const int flags = fd < 0 ? MAP_ANONYMOUS : 0;
  const long mapped = map_fixed(range, protection, flags, fd, offset);
  g.changed = false;
  return mapped;
}

}  // namespace evenkeel::kernel::files
