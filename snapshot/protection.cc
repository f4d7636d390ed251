#include "snapshot/protection.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <cstring>

#include "runtime/core/check.h"
#include "snapshot/bits.h"
#include "snapshot/page_list.h"

namespace evenkeel::snapshot::protection {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr uint8_t kDefault = 0;     // fresh bookkeeping is zero: read and write
constexpr uint8_t kChanged = 0x80;  // | PROT_ bits

struct Change {
  uint64_t begin;
  uint64_t end;
  uint8_t before;
};

constinit bool guard_writes_ = false;
constinit Change* changes = nullptr;
constinit uint64_t change_count = 0;
constinit uint64_t* lifted = nullptr;
constinit uint64_t lifted_count = 0;
constinit std::atomic<bool> busy = false;

// change() is rare and short, and its callers are carriers, which the kernel schedules: spinning
// ends. No signal handler takes it.
class Lock {
 public:
  Lock() {
    // acquire: pairs with the release below; orders journal and bytes.
    while (busy.exchange(true, std::memory_order_acquire)) _mm_pause();
  }
  ~Lock() { busy.store(false, std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

uint8_t encode(int protection) {
  return protection == kReadWrite ? kDefault : static_cast<uint8_t>(kChanged | protection);
}

uint64_t address_of(const Region& region, uint64_t index) {
  return region.range.begin + index * kPageBytes;
}

void journal(const Region& region, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last;) {
    uint64_t end = i + 1;
    while (end < last && region.protection[end] == region.protection[i]) ++end;
    EVENKEEL_CHECK(change_count < kMaxChanges);
    changes[change_count++] = {address_of(region, i), address_of(region, end),
                               region.protection[i]};
    i = end;
  }
}

}  // namespace

void init(bool guard_writes) {
  guard_writes_ = guard_writes;
  changes = static_cast<Change*>(book_allocate(kMaxChanges * sizeof(Change)));
  lifted = static_cast<uint64_t*>(book_allocate(kMaxDirtyPages * sizeof(uint64_t)));
  change_count = lifted_count = 0;
}

int wanted(const Region& region, uint64_t index) {
  // acquire: pairs with the release in change(); the bytes are written before the flag.
  if (!region.restricted.load(std::memory_order_acquire)) return kReadWrite;
  const uint8_t byte = region.protection[index];
  return byte == kDefault ? kReadWrite : byte & ~kChanged;
}

int in_force(const Region& region, uint64_t index) {
  const int protection = wanted(region, index);
  const bool guarded =
      guard_writes_ && region.kind != Kind::kStack && !test_bit(region.written, index);
  return guarded ? protection & ~PROT_WRITE : protection;
}

sys::Result change(Region& region, Range range, int protection) {
  const Lock lock;
  const uint64_t first = region.page_index(range.begin);
  const uint64_t last = region.page_index(range.end());
  journal(region, first, last);
  memset(region.protection + first, encode(protection), last - first);
  // release: pairs with the acquire in wanted().
  region.restricted.store(true, std::memory_order_release);
  // One call where the pages need no individual answer.
  const bool uniform =
      !guard_writes_ || region.kind == Kind::kStack || (protection & PROT_WRITE) == 0;
  return uniform ? sys::mprotect(as_pointer(range.begin), range.bytes, protection)
                 : apply(region, first, last);
}

sys::Result apply(const Region& region, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last;) {
    const int protection = in_force(region, i);
    uint64_t end = i + 1;
    while (end < last && in_force(region, end) == protection) ++end;
    const auto done =
        sys::mprotect(as_pointer(address_of(region, i)), (end - i) * kPageBytes, protection);
    if (!done.ok()) return done;
    i = end;
  }
  return sys::Result(0);
}

void must(sys::Result done) {
  if (done.ok()) return;
  EVENKEEL_DIE("cannot change a page's protection, raise vm.max_map_count", "errno", done.err());
}

void lift(uint64_t page) {
  EVENKEEL_CHECK(lifted_count < kMaxDirtyPages);
  must(sys::mprotect(as_pointer(page), kPageBytes, kReadWrite));
  lifted[lifted_count++] = page;
}

void restore_lifted() {
  for (uint64_t i = 0; i < lifted_count; ++i) {
    const Region* region = find_region(lifted[i]);
    if (region == nullptr) continue;  // removed meanwhile
    const uint64_t index = region->page_index(lifted[i]);
    must(apply(*region, index, index + 1));
  }
  lifted_count = 0;
}

void keep_changes() { change_count = 0; }

void undo_changes() {
  while (change_count != 0) {
    const Change& undone = changes[--change_count];
    Region* region = find_region(undone.begin);
    if (region == nullptr) continue;  // removed meanwhile
    const uint64_t first = region->page_index(undone.begin);
    const uint64_t last = region->page_index(undone.end);
    memset(region->protection + first, undone.before, last - first);
    must(apply(*region, first, last));
  }
}

}  // namespace evenkeel::snapshot::protection
