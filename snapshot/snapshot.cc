#include "snapshot/snapshot.h"

#include <sys/mman.h>

#include <algorithm>

#include "runtime/core/check.h"
#include "snapshot/bits.h"
#include "snapshot/heat.h"
#include "snapshot/image.h"
#include "snapshot/page_list.h"
#include "snapshot/protection.h"
#include "snapshot/region.h"
#include "snapshot/tracker.h"
#include "snapshot/transfer.h"

namespace evenkeel::snapshot {
namespace {

constexpr int kPromotionsPerCollect = 8;  // x 4.7 us: bounds the pause
// A hot page that nobody hashes is compared in one batch of eight, only to see whether it has
// fallen quiet: comparing costs more than copying.
constexpr uint32_t kHotCompareBatches = 8;
static_assert(kQuietBatches % kHotCompareBatches == 0);

constinit Config config_ = {};
constinit Stats stats_ = {};
constinit PageList pages;
constinit Heat heat;
constinit HotPages hot_pages;
constinit uint32_t batch = 0;

// What image_of() gives for a page that has no image.
alignas(kPageBytes) constinit const uint8_t zero_page[kPageBytes] = {};

bool uses_mprotect() { return config_.backend == Backend::kMprotect; }

sys::Result find_written(RunSink sink, bool everywhere) {
  return uses_mprotect() ? mprotect_tracker::find(sink) : uffd_tracker::find(sink, everywhere);
}
bool make_hot(uint64_t page) {
  return uses_mprotect() ? mprotect_tracker::make_hot(page) : uffd_tracker::make_hot(page);
}
bool make_cold(uint64_t page) {
  return uses_mprotect() ? mprotect_tracker::make_cold(page) : uffd_tracker::make_cold(page);
}
sys::Result begin_tracking(Region& region, RunSink sink) {
  return uses_mprotect() ? mprotect_tracker::begin(region, sink)
                         : uffd_tracker::begin(region, sink);
}
void end_tracking(Region& region) {
  uses_mprotect() ? mprotect_tracker::end(region) : uffd_tracker::end(region);
}

// ---------------------------------------------------------------- collect

// Takes the tracker's runs, clips them to the regions and puts the hot pages in between.
struct Gathering {
  RegionCursor cursor;
  size_t next_hot = 0;

  void append_hot_below(uint64_t address) {
    for (; next_hot < hot_pages.size() && hot_pages.at(next_hot).address < address; ++next_hot) {
      const uint64_t page = hot_pages.at(next_hot).address;
      pages.append(page, cursor.at(page)->kind, true);
    }
  }
  void append_run(uint64_t begin, uint64_t end) {
    for (uint64_t page = begin; page < end; page += kPageBytes) {
      append_hot_below(page);
      const Region* region = cursor.at(page);
      // Somebody else's asynchronous userfaultfd between two regions is walked over as well.
      if (region != nullptr) pages.append(page, region->kind, false);
    }
  }
};

// Pending pages become all pages written since the last commit. They are kept on failure too: what
// the tracker has reported before it failed it will not report again.
sys::Result gather(bool everywhere) {
  Gathering gathering;
  pages.begin_collect();
  const auto found = find_written({[](void* context, uint64_t begin, uint64_t end) {
                                     static_cast<Gathering*>(context)->append_run(begin, end);
                                   },
                                   &gathering},
                                  everywhere);
  if (found.ok()) gathering.append_hot_below(UINT64_MAX);
  pages.merge_fresh();
  return found;
}

// The application may have made a page inaccessible after writing to it.
void lift_if_needed(const Region& region, uint64_t page, int needed) {
  // relaxed: all threads have parked.
  if (!region.restricted.load(std::memory_order_relaxed)) return;
  const int wanted = protection::wanted(region, region.page_index(page));
  if ((wanted & needed) != needed) protection::lift(page);
}

void lift_where_needed(int needed) {
  RegionCursor cursor;
  for (const DirtyPage& page : pages) {
    lift_if_needed(*cursor.at(page.address), page.address, needed);
  }
}

bool always_compared(Kind kind) { return kind == Kind::kHashed && config_.compare; }
// Spread over the batches by address.
bool looked_for_quiet(uint64_t page) {
  return (page / kPageBytes + batch) % kHotCompareBatches == 0;
}

void compare() {
  RegionCursor cursor;
  for (DirtyPage& page : pages) {
    const bool wanted = always_compared(page.kind) || (page.hot && looked_for_quiet(page.address));
    page.unchanged = wanted && image::equals(*cursor.at(page.address), page.address);
    stats_.unchanged_pages += page.unchanged ? 1 : 0;
    stats_.hot_pages += page.hot ? 1 : 0;
  }
  stats_.written_pages += pages.size();
}

void cool_down(const DirtyPage& page) {
  const bool always = always_compared(page.kind);
  if (!always && !looked_for_quiet(page.address)) return;
  const size_t index = hot_pages.from(page.address);
  HotPage& hot = hot_pages.at(index);
  hot.quiet_batches = page.unchanged ? hot.quiet_batches + (always ? 1 : kHotCompareBatches) : 0;
  if (hot.quiet_batches >= kQuietBatches && make_cold(page.address)) hot_pages.erase_at(index);
}

bool may_become_hot(const DirtyPage& page) {
  if (page.kind == Kind::kStack && uses_mprotect()) return false;  // is never protected anyway
  const Region& region = *find_region(page.address);
  return !region.restricted.load(std::memory_order_relaxed) ||
         protection::wanted(region, region.page_index(page.address)) == (PROT_READ | PROT_WRITE);
}

void update_heat() {
  int promotions = 0;
  for (const DirtyPage& page : pages) {
    if (page.hot) {
      cool_down(page);
    } else if (heat.written(page.address, batch) && promotions < kPromotionsPerCollect &&
               hot_pages.size() < kMaxHotPages && may_become_hot(page) && make_hot(page.address)) {
      hot_pages.insert(page.address);
      ++promotions;
    }
  }
  ++batch;
}

// ---------------------------------------------------------------- regions

struct Adoption {
  Region* region;
  image::Copy copy;
};

void adopt_run(void* context, uint64_t begin, uint64_t end) {
  const auto* adoption = static_cast<const Adoption*>(context);
  for (uint64_t page = begin; page < end; page += kPageBytes) {
    // Nothing to give back: a new region has no image.
    (void)image::store(*adoption->region, page, adoption->copy, false);
  }
}

bool is_shared(Kind kind) { return kind == Kind::kHashed; }

// Calls visit(region, part) for the parts of [range) that lie in regions.
template <typename Visit>
void for_each_part(Range range, Visit visit) {
  for (size_t i = region_index_from(range.begin); i < region_count(); ++i) {
    Region& region = region_at(i);
    if (region.range.begin >= range.end()) return;
    const uint64_t begin = std::max(region.range.begin, range.begin);
    const uint64_t end = std::min(region.range.end(), range.end());
    visit(region, Range{begin, end - begin});
  }
}

Region* region_around(Range range) {
  if (range.bytes == 0 || range.begin % kPageBytes != 0) return nullptr;
  Region* region = find_region(range.begin);
  if (region == nullptr || range.end() > region->range.end()) return nullptr;
  return region;
}

// A page that the image knows must be seen as written, or nobody would notice that it is zero now.
void touch_dropped(Region& region, uint64_t index) {
  const uint64_t page = region.range.begin + index * kPageBytes;
  if (uses_mprotect() && region.kind != Kind::kStack) {
    mprotect_tracker::open_for_write(region, index, index + 1);
  }
  const bool writable = (protection::wanted(region, index) & PROT_WRITE) != 0;
  if (!writable) {
    protection::must(sys::mprotect(as_pointer(page), kPageBytes, PROT_READ | PROT_WRITE));
  }
  *static_cast<volatile uint8_t*>(as_pointer(page)) = 0;
  if (!writable) protection::must(protection::apply(region, index, index + 1));
}

// ---------------------------------------------------------------- taking over

// Everything writable and untracked again.
sys::Result forget_everything() {
  if (region_count() == 0) return sys::Result(0);
  for (size_t i = 0; i < region_count(); ++i) {
    Region& region = region_at(i);
    if (!region.restricted.load(std::memory_order_relaxed)) continue;
    const auto opened =
        sys::mprotect(as_pointer(region.range.begin), region.range.bytes, PROT_READ | PROT_WRITE);
    if (!opened.ok()) return opened;
    region.restricted.store(false, std::memory_order_relaxed);
  }
  const Config config = config_;
  shutdown();
  return init(config);
}

sys::Result take_over_region(const Peer& peer, const Region& theirs) {
  const bool shared = is_shared(theirs.kind);
  const auto inserted = insert_peer_region(theirs, shared);
  if (!inserted.ok()) return inserted;
  Region& own = *find_region(theirs.range.begin);
  const bool has_image = shared && config_.image_fd >= 0;
  const auto copied = transfer::copy(peer, theirs, own, has_image);
  if (!copied.ok()) return copied;
  // Pages of shared images are known already; private images are made here.
  Adoption adoption = {&own, image::Copy::kCached};
  const RunSink sink = has_image ? RunSink{[](void*, uint64_t, uint64_t) {}, nullptr}
                                 : RunSink{adopt_run, &adoption};
  return begin_tracking(own, sink);
}

// ---------------------------------------------------------------- rollback

void must(sys::Result found) {
  if (!found.ok()) EVENKEEL_DIE("cannot find what to roll back", "errno", found.err());
}

// Adjacent pages of one region are opened by one call.
void open_pending_for_write() {
  RegionCursor cursor;
  for (const DirtyPage* page = pages.begin(); page != pages.end();) {
    Region& region = *cursor.at(page->address);
    const uint64_t first = region.page_index(page->address);
    uint64_t last = first;
    while (page != pages.end() && region.range.contains(page->address) &&
           region.page_index(page->address) == last) {
      ++last;
      ++page;
    }
    if (region.kind != Kind::kStack) mprotect_tracker::open_for_write(region, first, last);
  }
}

}  // namespace

// ---------------------------------------------------------------- interface

bool available(Backend backend) {
  return backend == Backend::kMprotect || uffd_tracker::available();
}

sys::Result init(const Config& config) {
  config_ = config;
  const auto mapped = map_arenas(config.image_fd);
  if (!mapped.ok()) return mapped;
  const auto opened = uses_mprotect() ? mprotect_tracker::open() : uffd_tracker::open();
  if (!opened.ok()) {
    unmap_arenas();
    return opened;
  }
  if (!uses_mprotect()) uffd_tracker::start();
  pages.allocate();
  protection::init(uses_mprotect());
  return sys::Result(0);
}

void shutdown() {
  for (size_t i = 0; i < region_count(); ++i) end_tracking(region_at(i));
  uses_mprotect() ? mprotect_tracker::close() : uffd_tracker::close();
  unmap_arenas();
  hot_pages.clear();
  heat.clear();
  stats_ = {};
}

sys::Result add_region(Range range, Kind kind, bool write_shared, uint64_t used_bytes) {
  const auto inserted = insert_region(range, kind, is_shared(kind));
  if (!inserted.ok()) return inserted;
  Region& region = *find_region(range.begin);
  if (used_bytes < range.bytes) {
    const Range used{range.begin, used_bytes};
    set_used(region, &used, 1);
  }
  const bool copy = write_shared || !is_shared(kind) || config_.image_fd < 0;
  Adoption adoption = {&region, copy ? image::Copy::kCached : image::Copy::kNone};
  const auto begun = begin_tracking(region, {adopt_run, &adoption});
  if (!begun.ok()) {
    end_tracking(region);
    erase_region(range);
  }
  return begun;
}

sys::Result remove_region(Range range) {
  Region* region = find_region(range.begin);
  if (region == nullptr) return sys::Result(-ENOENT);
  if (region->range.begin != range.begin || region->range.bytes != range.bytes) {
    return sys::Result(-ENOENT);
  }
  hot_pages.erase(range);
  pages.erase(range);
  end_tracking(*region);
  erase_region(range);
  return sys::Result(0);
}

void set_used_ranges(Range region, const Range* used, size_t count) {
  Region* known = find_region(region.begin);
  if (known == nullptr || !set_used(*known, used, count)) return;
  if (!uses_mprotect()) uffd_tracker::used_ranges_changed();
}

sys::Result protect(Range range, int protection) {
  range.bytes = page_ceil(range.bytes);
  Region* region = region_around(range);
  if (region == nullptr) return sys::Result(-ENOMEM);  // what mprotect(2) says of a hole
  return protection::change(*region, range, protection);
}

sys::Result discard(Range range) {
  range.bytes = page_ceil(range.bytes);
  Region* region = region_around(range);
  if (region == nullptr) return sys::Result(-ENOMEM);
  const auto dropped = sys::madvise(as_pointer(range.begin), range.bytes, MADV_DONTNEED);
  if (!dropped.ok()) return dropped;
  const uint64_t last = region->page_index(range.end());
  uint64_t index = next_bit(region->has_image, region->page_index(range.begin), last);
  for (; index < last; index = next_bit(region->has_image, index + 1, last)) {
    touch_dropped(*region, index);
  }
  return sys::Result(0);
}

sys::Result collect(DirtyPages& out) {
  protection::restore_lifted();  // of an earlier collect of this batch
  const uint64_t started_ns = sys::monotonic_ns();
  const auto gathered = gather(false);
  const uint64_t gathered_ns = sys::monotonic_ns();
  stats_.scan_ns += gathered_ns - started_ns;
  out = {pages.begin(), pages.size()};
  if (!gathered.ok()) return gathered;
  lift_where_needed(PROT_READ);
  compare();
  stats_.compare_ns += sys::monotonic_ns() - gathered_ns;
  update_heat();
  return sys::Result(0);
}

void commit(bool write_shared) {
  const uint64_t started_ns = sys::monotonic_ns();
  const bool shared_file = config_.image_fd >= 0;
  image::Releaser releaser(shared_file);
  RegionCursor cursor;
  for (const DirtyPage& page : pages) {
    if (page.unchanged) continue;
    Region& region = *cursor.at(page.address);
    const bool copy = write_shared || page.kind != Kind::kHashed || !shared_file;
    const auto way = always_compared(page.kind) ? image::Copy::kCached : image::Copy::kPastCaches;
    const bool released =
        image::store(region, page.address, copy ? way : image::Copy::kNone, page.hot);
    if (released && copy) releaser.add(region, page.address);
  }
  image::finish_stores();
  pages.clear();
  protection::restore_lifted();
  protection::keep_changes();
  stats_.commit_ns += sys::monotonic_ns() - started_ns;
}

void commit_again() {
  if (config_.image_fd < 0) return;
  RegionCursor cursor;
  for (const DirtyPage* page = pages.cleared_begin(); page != pages.cleared_end(); ++page) {
    if (page->unchanged || page->kind != Kind::kHashed) continue;
    lift_if_needed(*cursor.at(page->address), page->address, PROT_READ);
    // A page that became zero has no image any more; what the shared file holds there is not read.
    image::store(*cursor.at(page->address), page->address, image::Copy::kCached, page->hot);
  }
  protection::restore_lifted();
}

void rewrite_image() {
  for_each_hashed_page(
      [](void*, uint64_t page) {
        Region& region = *find_region(page);
        lift_if_needed(region, page, PROT_READ);
        if (!image::equals(region, page)) image::store(region, page, image::Copy::kCached, false);
      },
      nullptr);
  protection::restore_lifted();
}

void for_each_hashed_page(void (*visit)(void* context, uint64_t page), void* context) {
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    if (!is_shared(region.kind)) continue;
    for_each_used(region, [&](Range used) {
      const uint64_t last = region.page_index(used.begin) + used.bytes / kPageBytes;
      uint64_t index = next_bit(region.has_image, region.page_index(used.begin), last);
      for (; index < last; index = next_bit(region.has_image, index + 1, last)) {
        visit(context, region.range.begin + index * kPageBytes);
      }
    });
  }
}

sys::Result take_over(const Peer& peer) {
  const auto forgotten = forget_everything();
  if (!forgotten.ok()) return forgotten;
  PeerRegions theirs = {};
  const auto read = read_peer_regions(peer, theirs);
  if (!read.ok()) return read;
  for (size_t i = 0; i < theirs.count; ++i) {
    const auto taken = take_over_region(peer, theirs.regions[i]);
    if (!taken.ok()) return taken;
  }
  set_shared_used(theirs.shared_used_bytes);
  return sys::Result(0);
}

sys::Result enforce_protections() {
  auto applied = sys::Result(0);
  for (size_t i = 0; i < region_count(); ++i) {
    const Region& region = region_at(i);
    if (!region.restricted.load(std::memory_order_relaxed)) continue;
    for_each_used(region, [&](Range used) {
      const uint64_t first = region.page_index(used.begin);
      if (applied.ok()) applied = protection::apply(region, first, first + used.bytes / kPageBytes);
    });
  }
  return applied;
}

void rollback() {
  const uint64_t started_ns = sys::monotonic_ns();
  protection::restore_lifted();
  must(gather(true));
  if (uses_mprotect()) open_pending_for_write();
  lift_where_needed(PROT_READ | PROT_WRITE);
  RegionCursor cursor;
  for (const DirtyPage& page : pages) {
    if (!page.unchanged) image::load(*cursor.at(page.address), page.address);
  }
  // Restoring wrote to the pages: protect them again, and forget that.
  must(find_written({[](void*, uint64_t, uint64_t) {}, nullptr}, true));
  pages.clear();
  protection::restore_lifted();
  protection::undo_changes();
  stats_.rollback_ns += sys::monotonic_ns() - started_ns;
}

const void* image_of(uint64_t page) {
  const Region* region = find_region(page);
  if (region == nullptr) return zero_page;
  if (!test_bit(region->has_image, region->page_index(page))) return zero_page;
  return region->image_at(page);
}

bool handle_write_fault(uint64_t address) {
  if (!uses_mprotect()) return false;
  Region* region = find_region(address);
  if (region == nullptr || region->kind == Kind::kStack) return false;
  const uint64_t index = region->page_index(address);
  if ((protection::wanted(*region, index) & PROT_WRITE) == 0) return false;
  mprotect_tracker::open_for_write(*region, index, index + 1);
  return true;
}

void prepare_kernel_write(void* address, size_t bytes) {
  if (!uses_mprotect() || bytes == 0) return;
  const uint64_t begin = page_floor(reinterpret_cast<uint64_t>(address));
  const uint64_t end = page_ceil(reinterpret_cast<uint64_t>(address) + bytes);
  for_each_part({begin, end - begin}, [](Region& region, Range part) {
    if (region.kind == Kind::kStack) return;
    mprotect_tracker::open_for_write(region, region.page_index(part.begin),
                                     region.page_index(part.end()));
  });
}

const Stats& stats() { return stats_; }

}  // namespace evenkeel::snapshot
