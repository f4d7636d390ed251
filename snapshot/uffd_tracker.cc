// Asynchronous write-protection: the kernel resolves the fault by itself (0.85 us) and remembers it
// in the page table, where PAGEMAP_SCAN finds it and protects the page again.
//
// A walk covers many regions. Mappings that are not registered here are skipped by the kernel at
// 0.1 us each, which is less than the 0.77 us of another call.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>

#include <algorithm>

#include "snapshot/bits.h"
#include "snapshot/kernel_abi.h"
#include "snapshot/scan_plan.h"
#include "snapshot/tracker.h"

namespace evenkeel::snapshot::uffd_tracker {
namespace {

constinit int uffd = -1;
constinit PresentPages pagemap;
constinit ScanPlan plan;
constinit bool plan_stale = true;
constinit uint32_t finds = 0;

// Blocks become worth sealing as they fill up, which is not worth watching: 4 us for a heap of 1
// GiB.
constexpr uint32_t kReplanFinds = 64;
// A page written outside the used ranges (by a wild pointer, or because its owner did not tell) is
// found after so many batches at the latest. 70 us.
constexpr uint32_t kWideFinds = 256;

sys::Result open_userfaultfd() {
  // User mode only is what an unprivileged process gets. It restricts faults that somebody has to
  // answer; asynchronous ones are resolved by the kernel, its own writes included.
  const auto opened = sys::call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | abi::kUserModeOnly);
  if (!opened.ok()) return opened;
  const int fd = static_cast<int>(opened.value());
  uffdio_api api = {};
  api.api = UFFD_API;
  api.features = abi::kFeatureWpAsync | abi::kFeatureWpUnpopulated;
  const auto agreed = sys::ioctl(fd, UFFDIO_API, &api);
  if (agreed.ok()) return opened;
  sys::close(fd).ignore();
  return agreed;
}

sys::Result register_range(Range range) {
  uffdio_register request = {};
  request.range = {.start = range.begin, .len = range.bytes};
  request.mode = UFFDIO_REGISTER_MODE_WP;
  return sys::ioctl(uffd, UFFDIO_REGISTER, &request);
}

sys::Result unregister_range(Range range) {
  uffdio_range request = {.start = range.begin, .len = range.bytes};
  return sys::ioctl(uffd, UFFDIO_UNREGISTER, &request);
}

// A page never touched has no protection and would count as written; asking for existing pages
// leaves those out. Not asking for them is the kernel's quick way (pagemap_scan_pmd_entry()).
sys::Result sweep(uint64_t begin, uint64_t end, bool quick, RunSink sink) {
  const uint64_t any = quick ? 0 : abi::kPageIsPresent | abi::kPageIsSwapped;
  const PageQuery query = {.mask = abi::kPageIsWritten, .any = any, .protect = true};
  return scan_pages(pagemap.fd(), {begin, end - begin}, query, sink);
}

// Protects what has never been touched, or was dropped when memory and image were zero: all
// threads are parked, so nothing that was written can look like that.
sys::Result protect_unused(uint64_t begin, uint64_t end) {
  constexpr uint64_t kExists = abi::kPageIsPresent | abi::kPageIsSwapped;
  const PageQuery query = {.mask = kExists, .inverted = kExists, .protect = true};
  return scan_pages(pagemap.fd(), {begin, end - begin}, query,
                    {[](void*, uint64_t, uint64_t) {}, nullptr});
}

// Whole blocks, as far as they are the region's: its used range may grow.
sys::Result seal(const Span& span) {
  Region& region = *find_region(span.begin);
  const uint64_t last = region.block_index(span.end - 1);
  for (uint64_t block = region.block_index(span.begin); block <= last; ++block) {
    if (test_bit(region.sealed, block)) continue;
    const uint64_t begin = (region.range.begin / kBlockBytes + block) * kBlockBytes;
    const auto sealed = protect_unused(std::max(begin, region.range.begin),
                                       std::min(begin + kBlockBytes, region.range.end()));
    if (!sealed.ok()) return sealed;
    set_bit(region.sealed, block);
  }
  return sys::Result(0);
}

sys::Result make_plan() {
  plan.build();
  for (const Span& span : plan) {
    if (!span.quick) continue;
    const auto sealed = seal(span);
    if (!sealed.ok()) return sealed;
  }
  plan_stale = false;
  return sys::Result(0);
}

// `everywhere`: between the spans of the plan, too.
sys::Result sweep_regions(RunSink sink, bool everywhere) {
  uint64_t done = region_at(0).range.begin;
  for (const Span& span : plan) {
    if (everywhere && done < span.begin) {
      const auto swept = sweep(done, span.begin, false, sink);
      if (!swept.ok()) return swept;
    }
    const auto swept = sweep(span.begin, span.end, span.quick, sink);
    if (!swept.ok()) return swept;
    done = span.end;
  }
  const uint64_t end = region_at(region_count() - 1).range.end();
  return everywhere && done < end ? sweep(done, end, false, sink) : sys::Result(0);
}

}  // namespace

bool available() {
  const bool usable = open().ok();
  close();
  return usable;
}

sys::Result open() {
  const auto opened = open_userfaultfd();
  if (!opened.ok()) return opened;
  uffd = move_fd_high(static_cast<int>(opened.value()));
  const auto mapped = pagemap.open();
  const auto usable = mapped.ok() && !pagemap.has_scan() ? sys::Result(-ENOTTY) : mapped;
  if (!usable.ok()) close();
  return usable;
}

void start() {
  plan.allocate();
  plan_stale = true;
  finds = 0;
}

void close() {
  pagemap.close();
  if (uffd >= 0) sys::close(uffd).ignore();
  uffd = -1;
}

sys::Result begin(const Region& region, RunSink sink) {
  plan_stale = true;
  // Huge pages would be tracked as 512 pages at once. EINVAL: the kernel has none.
  sys::madvise(as_pointer(region.range.begin), region.range.bytes, MADV_NOHUGEPAGE).ignore();
  const auto registered = register_range(region.range);
  if (!registered.ok()) return registered;
  return sweep(region.range.begin, region.range.end(), false, sink);
}

void end(const Region& region) {
  plan_stale = true;
  // Fails where the memory is gone already, and then nothing is registered either.
  unregister_range(region.range).ignore();
}

sys::Result find(RunSink sink, bool everywhere) {
  if (region_count() == 0) return sys::Result(0);
  ++finds;
  if (plan_stale || finds % kReplanFinds == 0) {
    const auto planned = make_plan();
    if (!planned.ok()) return planned;
  }
  return sweep_regions(sink, everywhere || finds % kWideFinds == 0);
}

void used_ranges_changed() { plan_stale = true; }

// A page left unprotected is one outside the registration: the walk does not stop at it. (Lifting
// its protection after each scan costs as much as the fault: 0.84 us. Scanning around it: 1.2 us.)
bool make_hot(uint64_t page) { return unregister_range({page, kPageBytes}).ok(); }

// Registered again it has no protection yet, so the next find() reports it and protects it.
bool make_cold(uint64_t page) { return register_range({page, kPageBytes}).ok(); }

}  // namespace evenkeel::snapshot::uffd_tracker
