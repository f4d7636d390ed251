#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "runtime/kernel/address_space.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/file_space.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;
using space::as_pointer;
using space::kReadWrite;
using space::spaces;

struct Request {
  Range range;  // where, if fixed; else only the size counts
  int protection;
  int flags;
  int fd;
  uint64_t offset;

  [[nodiscard]] bool fixed() const { return (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0; }
  [[nodiscard]] bool anonymous() const { return (flags & MAP_ANONYMOUS) != 0; }
  [[nodiscard]] bool shared() const { return (flags & MAP_TYPE) != MAP_PRIVATE; }
  [[nodiscard]] bool writable() const { return (protection & PROT_WRITE) != 0; }
};

long parse(const Call& call, Request& request) {
  const uint64_t bytes = page_ceil(call.args[1]);
  request = {
      {call.args[0], bytes}, call.integer(2), call.integer(3), call.integer(4), call.args[5]};
  const int type = request.flags & MAP_TYPE;
  if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE) return -EINVAL;
  if (call.args[1] == 0 || request.offset % kPageBytes != 0) return -EINVAL;
  if (bytes < call.args[1]) return -ENOMEM;
  constexpr int kKnown = PROT_READ | PROT_WRITE | PROT_EXEC;
  request.protection &= kKnown;  // mmap(2) does not mind others
  if (!request.fixed()) return 0;
  if (request.range.begin % kPageBytes != 0) return -EINVAL;
  return request.range.begin + bytes < request.range.begin ? -ENOMEM : 0;
}

// What no replica can have. The callers have a fallback for it, or could not work anyway.
long refuse(const Request& request) {
  if ((request.flags & MAP_32BIT) != 0 && !request.fixed()) {
    count_unhandled("mmap MAP_32BIT");
    return -ENOMEM;
  }
  if ((request.flags & MAP_HUGETLB) != 0) {
    count_unhandled("mmap MAP_HUGETLB");
    return -ENOMEM;
  }
  if (request.shared() && !request.anonymous() && request.writable()) {
    count_unhandled("mmap MAP_SHARED file");
    return -ENODEV;
  }
  return 0;
}

// A fixed place outside our arenas: replaces an initial mapping, or is an address that the program
// insists on. Neither compared nor rolled back.
long map_elsewhere(const Call& call) {
  const Request wanted{{call.args[0], page_ceil(call.args[1])}, 0, call.integer(3), 0, 0};
  for (const Range& arena : {kMapArena, kStackArena, kFileArena, kKernelArena, kHeapMetaArena,
                             kDeckArena, kTreeArena, kImageArena, kHeapArena}) {
    const bool apart = wanted.range.end() <= arena.begin || arena.end() <= wanted.range.begin;
    if (!apart) return (wanted.flags & MAP_FIXED_NOREPLACE) != 0 ? -EEXIST : -ENOMEM;
  }
  const long result = pass_through(call);
  if (result >= 0 || result < -4095) count_unhandled("mmap MAP_FIXED outside the arenas");
  return result;
}

// Fixed requests keep their place; others get the lowest gap. -errno if there is none.
long choose(Request& request, AddressMap& map) {
  if (request.fixed()) {
    const bool may_replace = (request.flags & MAP_FIXED_NOREPLACE) == 0;
    return may_replace || space::all_free(map, request.range) ? 0 : -EEXIST;
  }
  request.range.begin = map.first_fit(request.range.bytes);
  return request.range.begin != 0 ? 0 : -ENOMEM;
}

long map_anonymous(Request request, AddressMap& map, int protection) {
  OrderedGuard guard(spaces().version, Tag::kTable);
  long result = choose(request, map);
  if (result == 0) result = space::place_anonymous(map, request.range, protection);
  return result == 0 ? static_cast<long>(request.range.begin) : result;
}

// A copy of the file, because what is tracked must be anonymous. Beyond the file's end it is zero,
// where the kernel would raise SIGBUS.
long fill(const Request& request, uint64_t begin) {
  for (uint64_t done = 0; done < request.range.bytes;) {
    const long bytes = call(SYS_pread64, request.fd, begin + done, request.range.bytes - done,
                            request.offset + done);
    if (bytes < 0 && bytes != -EINTR) return bytes;
    if (bytes == 0) break;
    if (bytes > 0) done += static_cast<uint64_t>(bytes);
  }
  return 0;
}

long map_copy(const Request& request, AddressMap& map) {
  const long begin = map_anonymous(request, map, kReadWrite);
  if (begin < 0) return begin;
  const Range range{static_cast<uint64_t>(begin), request.range.bytes};
  const long filled = fill(request, range.begin);  // without the lock: reading takes it
  OrderedGuard guard(spaces().version, Tag::kTable);
  if (filled < 0) {
    space::remove(map, range);
    return filled == -EISDIR ? -ENODEV : filled;
  }
  const long protected_as = space::protect(map, range, request.protection);
  return protected_as == 0 ? begin : protected_as;
}

// True if it has been mapped, or failed; false if a copy is needed.
bool map_really(Request request, AddressMap& map, int real, long& result) {
  OrderedGuard guard(spaces().version, Tag::kTable);
  result = choose(request, map);
  if (result != 0) return true;
  if (!files::can_hold_file(request.range)) return false;
  result = files::place_file(request.range, request.protection, real, request.offset);
  if (result == 0) result = static_cast<long>(request.range.begin);
  return true;
}

long map_file(const Request& request, AddressMap* fixed_map) {
  const Object* object = object_of(request.fd);
  if (object != nullptr && object->type == ObjectType::kDevice) {  // /dev/zero, in practice
    return map_anonymous(request, fixed_map != nullptr ? *fixed_map : spaces().maps,
                         request.protection);
  }
  const long real = real_fd_of(request.fd);
  if (real < 0) return real;
  AddressMap& files = spaces().files;
  const bool among_files = fixed_map == nullptr || fixed_map == &files;
  long result = 0;
  if (!request.writable() && among_files &&
      map_really(request, files, static_cast<int>(real), result)) {
    return result;
  }
  return map_copy(request, fixed_map != nullptr ? *fixed_map : spaces().maps);
}

// ---- mremap

struct Move {
  Range from;
  Range to;
  Attributes attributes;
};

// Lock held, in turn. The content of memory that the application may not read moves as well.
long move_memory(AddressMap& source, AddressMap& target, const Move& move) {
  long result = space::place_anonymous(target, move.to, kReadWrite);
  if (result == 0 && (move.attributes.protection & PROT_READ) == 0) {
    result = space::protect(source, move.from, PROT_READ);
  }
  if (result != 0) return result;
  const uint64_t bytes = move.from.bytes < move.to.bytes ? move.from.bytes : move.to.bytes;
  std::memcpy(as_pointer(move.to.begin), as_pointer(move.from.begin), bytes);
  result = space::protect(target, move.to, move.attributes.protection);
  if (result == 0) result = space::remove(source, move.from);
  return result == 0 ? static_cast<long>(move.to.begin) : result;
}

long grow(AddressMap& map, Range from, uint64_t bytes, int flags) {
  const Attributes attributes = map.at(from.begin).attributes;
  if (attributes.kind == PieceKind::kFile) {
    count_unhandled("mremap of a file mapping");
    return -ENOMEM;
  }
  const Range tail{from.end(), bytes - from.bytes};
  if (&map != &spaces().files && space::map_around(tail) == &map && space::all_free(map, tail)) {
    const long grown = space::place_anonymous(map, tail, attributes.protection);
    return grown == 0 ? static_cast<long>(from.begin) : grown;
  }
  if ((flags & MREMAP_MAYMOVE) == 0) return -ENOMEM;
  AddressMap& target = &map == &spaces().files ? spaces().maps : map;
  const uint64_t begin = target.first_fit(bytes);
  if (begin == 0) return -ENOMEM;
  return move_memory(map, target, {from, {begin, bytes}, attributes});
}

long resize(AddressMap& map, Range from, uint64_t bytes, int flags) {
  if (bytes == from.bytes) return static_cast<long>(from.begin);
  if (bytes > from.bytes) return grow(map, from, bytes, flags);
  const long removed = space::remove(map, {from.begin + bytes, from.bytes - bytes});
  return removed == 0 ? static_cast<long>(from.begin) : removed;
}

long move_to(AddressMap& map, Range from, Range to) {
  AddressMap* target = space::map_around(to);
  const bool apart = to.end() <= from.begin || from.end() <= to.begin;
  if (to.begin % kPageBytes != 0 || !apart) return -EINVAL;
  const Attributes attributes = map.at(from.begin).attributes;
  if (target == nullptr || attributes.kind == PieceKind::kFile) {
    count_unhandled("mremap MREMAP_FIXED");
    return -ENOMEM;
  }
  return move_memory(map, *target, {from, to, attributes});
}

}  // namespace

long sys_mmap(const Call& call) {
  Request request;
  const long bad = parse(call, request);
  if (bad != 0) return bad;
  AddressMap* map = request.fixed() ? space::map_around(request.range) : nullptr;
  if (request.fixed() && map == nullptr) return map_elsewhere(call);
  const long refused = refuse(request);
  if (refused != 0) return refused;
  if (!request.anonymous()) return map_file(request, map);
  const bool stack = (request.flags & MAP_STACK) != 0;
  AddressMap& anywhere = stack ? spaces().stacks : spaces().maps;
  return map_anonymous(request, map != nullptr ? *map : anywhere, request.protection);
}

long sys_mremap(const Call& call) {
  const Range from{call.args[0], page_ceil(call.args[1])};
  const uint64_t bytes = page_ceil(call.args[2]);
  const int flags = call.integer(3);
  if (from.begin % kPageBytes != 0 || from.bytes == 0 || bytes == 0) return -EINVAL;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0) {
    count_unhandled("mremap MREMAP_DONTUNMAP");
    return -EINVAL;
  }
  AddressMap* map = space::map_around(from);
  if (map == nullptr) {
    count_unhandled("mremap of an initial mapping");
    return -EFAULT;
  }
  OrderedGuard guard(spaces().version, Tag::kTable);
  // As the kernel: all of it must be one mapping.
  const Piece& piece = map->at(from.begin);
  if (!space::all_mapped(*map, from) || piece.end < from.end()) return -EFAULT;
  if ((flags & MREMAP_FIXED) == 0) return resize(*map, from, bytes, flags);
  if ((flags & MREMAP_MAYMOVE) == 0) return -EINVAL;
  return move_to(*map, from, {call.args[4], bytes});
}

}  // namespace evenkeel::kernel
