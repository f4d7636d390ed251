// The smaller memory calls. mmap and mremap: memory_map.cc.
#include "runtime/kernel/memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "runtime/kernel/address_space.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;
using space::spaces;

bool aligned(uint64_t address) { return address % kPageBytes == 0; }

bool overlaps(Range a, Range b) { return a.begin < b.end() && b.begin < a.end(); }

// Memory of the runtime that the application has no business with.
bool is_runtime(Range range) {
  for (const Range& arena : {kKernelArena, kHeapMetaArena, kDeckArena, kTreeArena, kImageArena}) {
    if (overlaps(range, arena)) return true;
  }
  return false;
}

// Page range of (address, length) arguments; false if it wraps around.
bool page_range(const Call& call, Range& range) {
  const uint64_t bytes = page_ceil(call.args[1]);
  range = {call.args[0], bytes};
  return bytes >= call.args[1] && range.begin + bytes >= range.begin;
}

// The heap and the globals are regions too, but nobody's arena here: what lies in no region at all
// (the initial mappings) is the kernel's own affair.
long protect_elsewhere(const Call& call, Range range) {
  if (is_runtime(range)) return -EACCES;
  const auto done = space::hooks().protect(range, call.integer(2));
  return done.err() == ENOMEM ? pass_through(call) : done.value();
}

long discard_elsewhere(const Call& call, Range range) {
  if (is_runtime(range)) return -EINVAL;
  const auto done = space::hooks().discard(range);
  return done.err() == ENOMEM ? pass_through(call) : done.value();
}

bool mapped(const AddressMap& map, Range range) {
  sched::Guard guard;
  return space::all_mapped(map, range);
}

// Anonymous memory becomes zero. Thread stacks keep their content: the C library gives the unused
// part of a cached stack back without ever relying on zeros in it.
long discard(const Call& call, Range range) {
  AddressMap* map = space::map_around(range);
  if (map == nullptr) return discard_elsewhere(call, range);
  if (!mapped(*map, range)) return -ENOMEM;
  if (map == &spaces().stacks) return 0;
  OrderedGuard guard(spaces().version, Tag::kTable);
  return space::zero(*map, range);
}

bool is_hint(int advice) {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_FREE:  // "may" become zero; it does not, because it must not depend on memory
                     // pressure
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
      return true;
    default:
      return false;
  }
}

}  // namespace

long sys_munmap(const Call& call) {
  Range range;
  if (!page_range(call, range) || !aligned(range.begin) || range.bytes == 0) return -EINVAL;
  AddressMap* map = space::map_around(range);
  if (map != nullptr) {
    OrderedGuard guard(spaces().version, Tag::kTable);
    return space::remove(*map, range);
  }
  if (is_runtime(range)) return -EINVAL;
  // Mapped before the server's main() ran. A rollback could not bring it back, so it stays.
  count_unhandled("munmap of an initial mapping");
  return 0;
}

long sys_mprotect(const Call& call) {
  Range range;
  if (!aligned(call.args[0])) return -EINVAL;
  if (!page_range(call, range)) return -ENOMEM;
  if (range.bytes == 0) return 0;
  AddressMap* map = space::map_around(range);
  if (map == nullptr) return protect_elsewhere(call, range);
  constexpr int kKnown = PROT_READ | PROT_WRITE | PROT_EXEC;
  if ((call.integer(2) & ~kKnown) != 0) return -EINVAL;
  OrderedGuard guard(spaces().version, Tag::kTable);
  return space::protect(*map, range, call.integer(2));
}

long sys_madvise(const Call& call) {
  Range range;
  if (!page_range(call, range) || !aligned(range.begin)) return -EINVAL;
  const int advice = call.integer(2);
  if (advice != MADV_DONTNEED && !is_hint(advice)) return -EINVAL;
  if (range.bytes == 0 || is_hint(advice)) return 0;
  return discard(call, range);
}

// The C library's malloc is not in use; who else asks for more falls back to mmap.
long sys_brk(const Call&) { return sys::call(SYS_brk, 0).value(); }

// No mapping of the application is shared, so there is nothing to write back.
long sys_msync(const Call& call) { return aligned(call.args[0]) ? 0 : -EINVAL; }

// Locking is no state of the server, and MCL_FUTURE would fill the arenas.
long sys_mlock(const Call&) { return 0; }
long sys_mlock2(const Call&) { return 0; }
long sys_munlock(const Call&) { return 0; }
long sys_mlockall(const Call&) { return 0; }
long sys_munlockall(const Call&) { return 0; }

// Residency differs between replicas; as the application sees it, everything is resident.
long sys_mincore(const Call& call) {
  Range range;
  if (!aligned(call.args[0])) return -EINVAL;
  if (!page_range(call, range)) return -ENOMEM;
  const AddressMap* map = space::map_around(range);
  if (map != nullptr && range.bytes != 0 && !mapped(*map, range)) return -ENOMEM;
  std::memset(call.pointer<void>(2), 1, range.bytes / kPageBytes);
  return 0;
}

}  // namespace evenkeel::kernel
