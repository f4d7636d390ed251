// For kernels without asynchronous write-protection: pages are read-only until their first write
// raises SIGSEGV (about 3 us). Needs no walk, so it costs nothing for memory that stays as it is.
#include <sys/mman.h>

#include <algorithm>

#include "runtime/core/check.h"
#include "snapshot/bits.h"
#include "snapshot/page_list.h"
#include "snapshot/protection.h"
#include "snapshot/tracker.h"

namespace evenkeel::snapshot::mprotect_tracker {
namespace {

constexpr size_t kMaxUsedRanges = 16384;  // x 16 B; four per thread

constinit PresentPages pagemap;
constinit uint64_t* written = nullptr;  // kMaxDirtyPages addresses
constinit std::atomic<uint64_t> written_count = 0;
constinit Range* used_ranges = nullptr;
constinit size_t used_count = 0;

uint64_t address_of(const Region& region, uint64_t index) {
  return region.range.begin + index * kPageBytes;
}

void list_page(uint64_t address) {
  // relaxed: slots are distinct; the list is read when all threads have parked.
  const uint64_t slot = written_count.fetch_add(1, std::memory_order_relaxed);
  EVENKEEL_CHECK(slot < kMaxDirtyPages);
  written[slot] = address;
}

void mark(Region& region, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) {
    if (set_bit_shared(region.written, i)) list_page(address_of(region, i));
  }
}

// Every island of writable pages costs the kernel up to two mappings, of which a process has 65530
// (vm.max_map_count). When they run out, larger blocks are opened: fewer mappings, and more pages
// that count as written without having been.
void open_wider(Region& region, uint64_t index) {
  constexpr uint64_t kWidest = uint64_t{1} << 20;  // pages: 4 GiB
  for (uint64_t block = 64; block <= kWidest; block *= 16) {
    const uint64_t first = index / block * block;
    const uint64_t last = std::min(first + block, region.pages());
    mark(region, first, last);
    if (protection::apply(region, first, last).ok()) return;
  }
  EVENKEEL_DIE("cannot make a page writable, raise vm.max_map_count", "page",
               address_of(region, index));
}

void list_run(void*, uint64_t begin, uint64_t end) {
  for (uint64_t page = begin; page < end; page += kPageBytes) list_page(page);
}

sys::Result list_stacks() {
  const RunSink to_list = {list_run, nullptr};
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    if (region.kind != Kind::kStack) continue;
    if (used_count == 0 || pagemap.has_scan()) {
      const auto listed = pagemap.report(region.range, to_list);
      if (!listed.ok()) return listed;
      continue;
    }
    for (size_t k = 0; k < used_count; ++k) {
      if (!region.range.contains(used_ranges[k].begin)) continue;
      const auto listed = pagemap.report(used_ranges[k], to_list);
      if (!listed.ok()) return listed;
    }
  }
  return sys::Result(0);
}

// Protects pages [first, last) again. Where the kernel refuses (too many mappings) they stay open
// and count as written in the next batch as well.
void close_pages(Region& region, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) clear_bit(region.written, i);
  if (!protection::apply(region, first, last).ok()) mark(region, first, last);
}

// Back to what the application asked for.
sys::Result release(Region& region) {
  // relaxed: all threads have parked.
  if (!region.restricted.load(std::memory_order_relaxed)) {
    return sys::mprotect(as_pointer(region.range.begin), region.range.bytes,
                         PROT_READ | PROT_WRITE);
  }
  for (uint64_t i = 0; i < region.pages(); ++i) set_bit(region.written, i);
  return protection::apply(region, 0, region.pages());
}

size_t run_end(const Region& region, const uint64_t* list, size_t from, size_t count) {
  size_t i = from + 1;
  while (i < count && list[i] == list[i - 1] + kPageBytes && region.range.contains(list[i])) ++i;
  return i;
}

}  // namespace

sys::Result open() {
  written = static_cast<uint64_t*>(book_allocate(kMaxDirtyPages * sizeof(uint64_t)));
  used_ranges = static_cast<Range*>(book_allocate(kMaxUsedRanges * sizeof(Range)));
  written_count.store(0, std::memory_order_relaxed);
  used_count = 0;
  return pagemap.open();
}

void close() { pagemap.close(); }

sys::Result begin(Region& region, RunSink sink) {
  if (region.kind != Kind::kStack) {
    const auto done = sys::mprotect(as_pointer(region.range.begin), region.range.bytes, PROT_READ);
    if (!done.ok()) return done;
  }
  return pagemap.report(region.range, sink);
}

void end(Region& region) {
  if (region.kind == Kind::kStack) return;
  const uint64_t kept = written_count.load(std::memory_order_relaxed);
  uint64_t* const last = std::remove_if(
      written, written + kept, [&region](uint64_t page) { return region.range.contains(page); });
  written_count.store(static_cast<uint64_t>(last - written), std::memory_order_relaxed);
  // Fails where the memory is gone already.
  release(region).ignore();
}

sys::Result find(RunSink sink) {
  const uint64_t without_stacks = written_count.load(std::memory_order_relaxed);
  const auto listed = list_stacks();
  if (!listed.ok()) {
    written_count.store(without_stacks, std::memory_order_relaxed);
    return listed;
  }
  // relaxed: all threads have parked, and parking is an acquire.
  const uint64_t count = written_count.exchange(0, std::memory_order_relaxed);
  std::sort(written, written + count);
  RegionCursor cursor;
  for (uint64_t i = 0; i < count;) {
    Region* region = cursor.at(written[i]);
    EVENKEEL_CHECK(region != nullptr);
    const uint64_t begin = written[i];
    i = run_end(*region, written, i, count);
    const uint64_t end = written[i - 1] + kPageBytes;
    if (region->kind != Kind::kStack) {
      close_pages(*region, region->page_index(begin), region->page_index(end));
    }
    sink.run(sink.context, begin, end);
  }
  return sys::Result(0);
}

// The page is just being reported, hence protected; open it without listing it.
bool make_hot(uint64_t page) {
  Region& region = *find_region(page);
  const uint64_t index = region.page_index(page);
  set_bit(region.written, index);
  if (protection::apply(region, index, index + 1).ok()) return true;
  clear_bit(region.written, index);
  return false;
}

// Listed as if written: the next find() protects it.
bool make_cold(uint64_t page) {
  list_page(page);
  return true;
}

void set_used_ranges(Range region, const Range* used, size_t count) {
  // Those of other stack regions stay.
  Range* const last = std::remove_if(used_ranges, used_ranges + used_count,
                                     [region](Range old) { return region.contains(old.begin); });
  used_count = static_cast<size_t>(last - used_ranges);
  EVENKEEL_CHECK(used_count + count <= kMaxUsedRanges);
  for (size_t i = 0; i < count; ++i) used_ranges[used_count++] = used[i];
}

void pretend_old_kernel() { pagemap.forget_scan(); }

void open_for_write(Region& region, uint64_t first, uint64_t last) {
  mark(region, first, last);
  // Again even if another thread has marked them: it may not have got as far as opening them.
  if (protection::apply(region, first, last).ok()) return;
  for (uint64_t i = first; i < last; ++i) open_wider(region, i);
}

}  // namespace evenkeel::snapshot::mprotect_tracker
