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

constinit PresentPages pagemap;
constinit uint64_t* written = nullptr;  // kMaxDirtyPages addresses
constinit std::atomic<uint64_t> written_count = 0;

uint64_t address_of(const Region& region, uint64_t index) {
  return region.range.begin + index * kPageBytes;
}

void list_page(uint64_t address) {
  // relaxed: slots are distinct; the list is read when all threads have parked.
  const uint64_t slot = written_count.fetch_add(1, std::memory_order_relaxed);
  EVENKEEL_CHECK(slot < kMaxDirtyPages);
  __atomic_store_n(&written[slot], address, __ATOMIC_RELAXED);  // see close_gap_behind()
}

void mark(Region& region, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) {
    if (set_bit_shared(region.written, i)) list_page(address_of(region, i));
  }
}

// Every island of writable pages costs the kernel up to two mappings, of which a process has 65530
// (vm.max_map_count). When they run out, islands near each other become one: the pages between them
// are opened and count as written without having been. Small gaps anywhere are closed before large
// ones. relaxed, both: a hint shared by threads; every value of it is correct.
constexpr uint64_t kFirstReach = 16;                // pages of the gaps closed at first
constexpr uint64_t kLastReach = uint64_t{1} << 20;  // x 4 KiB = 4 GiB
constinit std::atomic<uint64_t> gap_cursor = 0;     // index into `written`
constinit std::atomic<uint64_t> gap_reach = kFirstReach;

// Closes the gap behind the island that ends with a listed page. False: there is none.
bool close_gap_behind(uint64_t page, uint64_t reach) {
  // Another thread may have taken the list's slot and not filled it yet: then this is an address of
  // an earlier batch, or 0.
  Region* region = find_region(page);
  if (region == nullptr || !test_bit(region->written, region->page_index(page))) return false;
  const uint64_t first = region->page_index(page) + 1;
  const uint64_t limit = std::min(first + reach, region->pages());
  const uint64_t last = next_bit(region->written, first, limit);
  if (last == first || last == limit) return false;
  mark(*region, first, last);
  return protection::apply(*region, first, last).ok();
}

// Gives mappings back. False: no two islands are close enough.
bool make_room() {
  for (;;) {
    const uint64_t reach = gap_reach.load(std::memory_order_relaxed);
    const uint64_t count = written_count.load(std::memory_order_relaxed);
    uint64_t at = gap_cursor.load(std::memory_order_relaxed);
    for (; at < count; ++at) {
      if (close_gap_behind(__atomic_load_n(&written[at], __ATOMIC_RELAXED), reach)) break;
    }
    gap_cursor.store(at < count ? at + 1 : 0, std::memory_order_relaxed);
    if (at < count) return true;
    if (reach >= kLastReach) return false;
    gap_reach.store(reach * 4, std::memory_order_relaxed);
  }
}

void list_run(void*, uint64_t begin, uint64_t end) {
  for (uint64_t page = begin; page < end; page += kPageBytes) list_page(page);
}

sys::Result report_used(const Region& region, RunSink sink) {
  auto result = sys::Result(0);
  for_each_used(region, [&result, sink](Range used) {
    if (result.ok()) result = pagemap.report(used, sink);
  });
  return result;
}

sys::Result list_stacks() {
  const RunSink to_list = {list_run, nullptr};
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    if (region.kind != Kind::kStack) continue;
    const auto listed = report_used(region, to_list);
    if (!listed.ok()) return listed;
  }
  return sys::Result(0);
}

// Where the kernel refuses to protect (too many mappings) pages stay open and count as written in
// the next batch as well.
void apply_or_keep_open(Region& region, uint64_t first, uint64_t last, const uint64_t* pages,
                        const uint64_t* end) {
  if (protection::apply(region, first, last).ok()) return;
  for (; pages != end; ++pages)
    mark(region, region.page_index(*pages), region.page_index(*pages) + 1);
}

// Protects the pages of [list, end), all of one region, again. A call that makes several islands
// read-only at once costs 1.7 us each instead of 2.7 us; between islands everything must be
// read-only already.
void close_pages(Region& region, const uint64_t* list, const uint64_t* end) {
  constexpr uint64_t kBridgePages = 1024;  // x 1 ns
  for (const uint64_t* page = list; page != end; ++page) {
    clear_bit(region.written, region.page_index(*page));
  }
  // relaxed: all threads have parked.
  const bool restricted = region.restricted.load(std::memory_order_relaxed);
  while (list != end) {
    const uint64_t first = region.page_index(*list);
    const uint64_t* from = list;
    uint64_t last = first + 1;
    for (++list; list != end; ++list) {
      const uint64_t next = region.page_index(*list);
      const bool bridged = next == last || (!restricted && next - last < kBridgePages &&
                                            next_bit(region.written, last, next) == next);
      if (!bridged) break;
      last = next + 1;
    }
    apply_or_keep_open(region, first, last, from, list);
  }
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

}  // namespace

sys::Result open() {
  written = static_cast<uint64_t*>(book_allocate(kMaxDirtyPages * sizeof(uint64_t)));
  written_count.store(0, std::memory_order_relaxed);
  return pagemap.open();
}

void close() { pagemap.close(); }

sys::Result begin(Region& region, RunSink sink) {
  if (region.kind != Kind::kStack) {
    const auto done = sys::mprotect(as_pointer(region.range.begin), region.range.bytes, PROT_READ);
    if (!done.ok()) return done;
  }
  return report_used(region, sink);
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
  gap_cursor.store(0, std::memory_order_relaxed);
  gap_reach.store(kFirstReach, std::memory_order_relaxed);
  std::sort(written, written + count);
  const uint64_t* const end = written + count;
  for (const uint64_t* page = written; page != end;) {
    Region* region = find_region(*page);
    EVENKEEL_CHECK(region != nullptr);
    const uint64_t* const first = page;
    while (page != end && region->range.contains(*page)) ++page;
    // The list is read for the sink before pages that must stay open are put on it again.
    for (const uint64_t* each = first; each != page; ++each) {
      sink.run(sink.context, *each, *each + kPageBytes);
    }
    if (region->kind != Kind::kStack) close_pages(*region, first, page);
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

void pretend_old_kernel() { pagemap.forget_scan(); }

void open_for_write(Region& region, uint64_t first, uint64_t last) {
  mark(region, first, last);
  // Again even if another thread has marked them: it may not have got as far as opening them. What
  // make_room() gave back another thread may take: hence the loop, which ends with the gaps.
  while (!protection::apply(region, first, last).ok()) {
    if (make_room()) continue;
    EVENKEEL_DIE("cannot make a page writable, raise vm.max_map_count", "page",
                 address_of(region, first));
  }
}

}  // namespace evenkeel::snapshot::mprotect_tracker
