#include "runtime/kernel/address_space.h"

#include <sys/mman.h>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/kernel/file_space.h"
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {
namespace {

sys::Result protect_plainly(Range range, int protection) {
  return sys::mprotect(space::as_pointer(range.begin), range.bytes, protection);
}
sys::Result discard_plainly(Range range) {
  return sys::madvise(space::as_pointer(range.begin), range.bytes, MADV_DONTNEED);
}
void ignore_added(Range, bool) {}
void ignore_removed(Range) {}

constinit MemoryHooks g_hooks{protect_plainly, discard_plainly, ignore_added, ignore_removed};
constinit space::Spaces* g_spaces = nullptr;  // set once by init_memory()

// Natively these calls succeed, or the kernel refuses them for the same reason (memory, mappings):
// the server is told, and a replica that is refused alone differs from then on.
long told(sys::Result result) {
  if (!result.ok()) count_unhandled("memory call that the kernel refused");
  return result.value();
}

void reserve(const Range& arena) {
  const auto mapped =
      sys::mmap(space::as_pointer(arena.begin), arena.bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("cannot reserve an address arena", "errno", mapped.err());
}

}  // namespace

void set_memory_hooks(const MemoryHooks& hooks) { g_hooks = hooks; }

void init_memory() {
  reserve(kMapArena);
  reserve(kStackArena);
  files::reserve();
  g_spaces = arena::create<space::Spaces>();
  g_spaces->maps.init(kMapArena);
  g_spaces->stacks.init(kStackArena);
  g_spaces->files.init(kFileArena);
}

Range allocate_stack(uint64_t bytes) {
  AddressMap& map = g_spaces->stacks;
  const uint64_t total = page_ceil(bytes) + kPageBytes;
  const uint64_t begin = map.first_fit(total);
  EVENKEEL_CHECK(begin != 0);
  const Range guard{begin, kPageBytes};
  map.set(guard, {PieceKind::kAnonymous, PROT_NONE, 0, 0});
  map.set({guard.end(), total - kPageBytes}, {PieceKind::kAnonymous, space::kReadWrite, 0, 0});
  const auto guarded = protect_plainly(guard, PROT_NONE);
  if (!guarded.ok()) EVENKEEL_DIE("cannot guard the main stack", "errno", guarded.err());
  return {guard.end(), total - kPageBytes};
}

void memory_quiescent() { files::announce_regions(); }

// What is left of a region that was partly unmapped is announced here, not when the next batch
// ends: its present content is the image's.
void memory_committed() {
  files::forget_aside();
  files::drop_released();
  files::announce_regions();
  ++g_spaces->epoch;
}

void memory_rolled_back() {
  files::restore_aside();
  files::drop_released();
  files::announce_regions();
  files::restore_protections();
  ++g_spaces->epoch;
}

sys::Result take_over_regions(const Peer& peer) { return files::take_over(peer); }
sys::Result take_over_mapping(Range range, int protection, int fd, uint64_t offset) {
  return sys::Result(files::take_over_mapping(range, protection, fd, offset));
}

void for_each_file_part(Range range, void (*visit)(void* context, Range part, int protection),
                        void* context) {
  g_spaces->files.visit(range, [&](Range part, const Attributes& attributes) {
    if (attributes.kind == PieceKind::kFile) visit(context, part, attributes.protection);
  });
}

uint64_t used_end(const Range& arena) { return space::map_around(arena)->used_end(); }

void for_each_used_range(const Range& arena, void (*visit)(void* context, Range range),
                         void* context) {
  const AddressMap& map = *space::map_around(arena);
  const Range used{arena.begin, map.used_end() - arena.begin};
  map.visit(used, [&](Range part, const Attributes& attributes) {
    if (attributes.kind != PieceKind::kFree) visit(context, part);
  });
}

namespace space {

Spaces& spaces() { return *g_spaces; }
const MemoryHooks& hooks() { return g_hooks; }

AddressMap* map_around(Range range) {
  for (AddressMap* map : {&g_spaces->maps, &g_spaces->stacks, &g_spaces->files}) {
    const Range& arena = map->arena();
    if (arena.contains(range.begin) && range.bytes <= arena.end() - range.begin) return map;
  }
  return nullptr;
}

bool all_mapped(const AddressMap& map, Range range) {
  bool mapped = true;
  map.visit(range, [&](Range, const Attributes& attributes) {
    mapped &= attributes.kind == PieceKind::kAnonymous || attributes.kind == PieceKind::kFile;
  });
  return mapped;
}

bool all_free(const AddressMap& map, Range range) {
  const Piece& piece = map.at(range.begin);
  return piece.attributes.kind == PieceKind::kFree && piece.end >= range.end();
}

namespace {

bool holds_files(const AddressMap& map) { return &map == &g_spaces->files; }

// Free memory of a tracked arena is zero and readable and writable; keep it so.
long place_part(Range part, const Attributes& before, int protection) {
  if (before.kind == PieceKind::kAnonymous) {
    const long error = told(g_hooks.discard(part));
    if (error != 0) return error;
  }
  const int in_force = before.kind == PieceKind::kAnonymous ? before.protection : kReadWrite;
  return in_force == protection ? 0 : told(g_hooks.protect(part, protection));
}

long remove_part(Range part, const Attributes& before) {
  if (before.protection != kReadWrite) {
    const long error = told(g_hooks.protect(part, kReadWrite));
    if (error != 0) return error;
  }
  return told(g_hooks.discard(part));
}

}  // namespace

long place_anonymous(AddressMap& map, Range range, int protection) {
  const Attributes after{PieceKind::kAnonymous, static_cast<uint8_t>(protection), 0, 0};
  long result = 0;
  map.visit(range, [&](Range part, const Attributes& before) {
    if (result != 0) return;
    result = holds_files(map) ? files::place_anonymous(part, before, protection)
                              : place_part(part, before, protection);
    if (result == 0) map.set(part, after);
  });
  return result;
}

long remove(AddressMap& map, Range range) {
  long result = 0;
  map.visit(range, [&](Range part, const Attributes& before) {
    if (result != 0 || before.kind == PieceKind::kFree) return;
    if (holds_files(map)) {
      files::release(part, before);
      return;
    }
    result = remove_part(part, before);
    if (result == 0) map.set(part, Attributes{});
  });
  return result;
}

long protect(AddressMap& map, Range range, int protection) {
  if (!all_mapped(map, range)) return -ENOMEM;
  long result = 0;
  map.visit(range, [&](Range part, const Attributes& before) {
    if (result != 0 || before.protection == protection) return;
    if (holds_files(map)) {
      result = files::protect(part, before, protection);
      return;
    }
    result = told(g_hooks.protect(part, protection));
    if (result != 0) return;
    Attributes after = before;
    after.protection = static_cast<uint8_t>(protection);
    map.set(part, after);
  });
  return result;
}

long zero(AddressMap& map, Range range) {
  long result = 0;
  map.visit(range, [&](Range part, const Attributes& attributes) {
    if (result != 0 || attributes.kind != PieceKind::kAnonymous) return;
    result = holds_files(map) ? files::zero(part) : told(g_hooks.discard(part));
  });
  return result;
}

}  // namespace space
}  // namespace evenkeel::kernel
