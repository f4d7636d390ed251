#include "shim/regions.h"

#include <sys/mman.h>

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "shim/memory_maps.h"
#include "shim/used_memory.h"
#include "snapshot/snapshot.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

using snapshot::Kind;

constexpr size_t kMapsBytes = 512 << 10;  // about 5,000 mappings; more is fatal
constinit char g_maps[kMapsBytes];

extern "C" const char __ehdr_start[];

bool starts_with(const char* text, const char* prefix) {
  while (*prefix != '\0') {
    if (*text++ != *prefix++) return false;
  }
  return true;
}

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

const char* base_name(const char* path) {
  const char* base = path;
  for (; *path != '\0'; ++path) {
    if (*path == '/') base = path + 1;
  }
  return base;
}

// libc and the dynamic linker hold what legitimately differs between replicas: canaries, thread
// descriptors, buffers' addresses of the kernel's choosing.
bool is_libc(const char* path) {
  const char* base = base_name(path);
  return starts_with(base, "libc.so") || starts_with(base, "libc-") ||
         starts_with(base, "ld-linux") || starts_with(base, "libpthread");
}

bool in_arena(uint64_t address) {
  for (const Range& arena : {kHeapArena, kHeapMetaArena, kMapArena, kStackArena, kKernelArena,
                             kFileArena, kDeckArena, kTreeArena, kImageArena}) {
    if (arena.contains(address)) return true;
  }
  return false;
}

void name_region(wire::Replica& replica, Range range, uint64_t offset, bool hashed,
                 const char* name) {
  const uint32_t index = replica.region_count.load(std::memory_order_relaxed);
  if (index == wire::kMaxRegions) return;  // not named in reports, tracked all the same
  wire::Region& region = replica.regions[index];
  region.begin = range.begin;
  region.end = range.end();
  region.file_offset = offset;
  region.kind = hashed ? wire::RegionKind::kHashed : wire::RegionKind::kTracked;
  std::strncpy(region.name, name, sizeof region.name - 1);
  replica.region_count.store(index + 1, std::memory_order_release);
}

void must(sys::Result result, const char* what) {
  if (!result.ok()) die(__FILE__, __LINE__, what, "errno", nullptr, result.err());
}

// Replaces file-backed private pages by anonymous ones of the same content, in place.
void make_anonymous(const Mapping& mapping) {
  const size_t bytes = mapping.end - mapping.begin;
  auto* target = reinterpret_cast<void*>(mapping.begin);
  const auto copied =
      sys::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(copied, "cannot copy a data segment");
  auto* copy = reinterpret_cast<void*>(copied.value());
  std::memcpy(copy, target, bytes);
  must(sys::call(SYS_mremap, sys::arg(copy), static_cast<long>(bytes), static_cast<long>(bytes),
                 MREMAP_MAYMOVE | MREMAP_FIXED, sys::arg(target)),
       "cannot replace a data segment");
}

struct Sink {
  wire::Replica& replica;
  bool track;
  bool write_shared;
  bool hash;
};

void add(const Sink& sink, Range range, Kind kind, uint64_t offset, const char* name,
         uint64_t used_bytes = UINT64_MAX) {
  if (sink.track) {
    must(snapshot::add_region(range, kind, sink.write_shared, used_bytes), "cannot track memory");
  }
  name_region(sink.replica, range, offset, kind == Kind::kHashed, name);
}

void hash_present(Range range) {
  must(verify::add_range(range), "cannot hash memory");
  for (uint64_t page = range.begin; page < range.end(); page += kPageBytes) {
    verify::update(&page, 1);
  }
}

// Which mappings of the process belong to whom: an anonymous mapping right behind a library's data
// is its .bss.
class Classifier {
 public:
  // False: leave it alone.
  bool classify(const Mapping& mapping, Kind& kind) {
    const bool named = mapping.path[0] != '\0';
    if (named || mapping.begin != previous_end_) {
      owner_ = owner_of(mapping);
      owner_path_ = mapping.path;
    }
    previous_end_ = mapping.end;
    if (owner_ == Owner::kNobody || !mapping.writable || mapping.shared) return false;
    kind = owner_ == Owner::kApplication ? Kind::kHashed : Kind::kTracked;
    return true;
  }

  // The file whose data or .bss the last classified mapping is.
  [[nodiscard]] const char* owner_path() const { return owner_path_; }

 private:
  enum class Owner { kNobody, kLibc, kApplication };

  static Owner owner_of(const Mapping& mapping) {
    if (in_arena(mapping.begin)) return Owner::kNobody;
    if (mapping.path[0] == '/') {
      if (equal(mapping.path, self_path_)) return Owner::kNobody;
      return is_libc(mapping.path) ? Owner::kLibc : Owner::kApplication;
    }
    // Anonymous: the dynamic linker's and libc's early memory, the main thread's TLS. In brackets:
    // [heap] likewise; the main stack and the vDSO are the kernel's.
    if (mapping.path[0] == '[' && !starts_with(mapping.path, "[heap]")) return Owner::kNobody;
    return Owner::kLibc;
  }

  Owner owner_ = Owner::kNobody;
  const char* owner_path_ = "";
  uint64_t previous_end_ = 0;

 public:
  static char self_path_[512];
};
constinit char Classifier::self_path_[512] = {};

void find_own_path() {
  const auto self = reinterpret_cast<uint64_t>(__ehdr_start);
  Mapping mapping;
  char* at = g_maps;
  while ((at = parse_mapping(at, mapping)) != nullptr) {
    if (mapping.begin <= self && self < mapping.end) {
      std::strncpy(Classifier::self_path_, mapping.path, sizeof Classifier::self_path_ - 1);
      return;
    }
  }
}

void track_arenas(const Sink& sink) {
  const auto [heap, meta, kernel, maps, stacks] = used_arenas();
  add(sink, heap.arena, Kind::kHashed, 0, "heap", heap.used_bytes);
  add(sink, maps.arena, Kind::kHashed, 0, "maps", maps.used_bytes);
  add(sink, stacks.arena, Kind::kStack, 0, "stacks", stacks.used_bytes);
  add(sink, kernel.arena, Kind::kTracked, 0, "kernel", kernel.used_bytes);
  add(sink, meta.arena, Kind::kTracked, 0, "heap metadata", meta.used_bytes);
}

// What the dynamic linker and libraries' constructors have allocated.
void hash_early_heap() {
  snapshot::for_each_hashed_page(
      [](void*, uint64_t page) {
        if (kHeapArena.contains(page)) verify::update(&page, 1);
      },
      nullptr);
}

void visit_memory(const Sink& sink) {
  read_maps(g_maps, sizeof g_maps);
  find_own_path();
  read_maps(g_maps, sizeof g_maps);  // the first pass cut it into lines
  Classifier classifier;
  Mapping mapping;
  char* at = g_maps;
  while ((at = parse_mapping(at, mapping)) != nullptr) {
    Kind kind{};
    if (!classifier.classify(mapping, kind)) continue;
    if (mapping.path[0] == '/') make_anonymous(mapping);
    const Range range{mapping.begin, mapping.end - mapping.begin};
    add(sink, range, kind, mapping.offset, classifier.owner_path());
    if (sink.hash && kind == Kind::kHashed) hash_present(range);
  }
  track_arenas(sink);
  if (sink.hash) hash_early_heap();
}

}  // namespace

void track_memory(wire::Replica& replica, bool write_shared, bool hash) {
  visit_memory({replica, true, write_shared, hash});
}

void prepare_memory(wire::Replica& replica) { visit_memory({replica, false, false, false}); }

void track_later(wire::Replica& replica, Range range, bool hashed, bool write_shared, bool hash) {
  const Sink sink{replica, true, write_shared, hash};
  add(sink, range, hashed ? Kind::kHashed : Kind::kTracked, 0, "library loaded later");
  if (hash && hashed) hash_present(range);
}

void untrack_later(Range range, bool hash) {
  must(snapshot::remove_region(range), "cannot stop tracking memory");
  if (hash) verify::remove_range(range).ignore();  // ENOENT: it was not hashed
}

}  // namespace evenkeel::shim
