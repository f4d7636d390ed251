// Asynchronous write-protection: the kernel resolves the fault by itself (0.85 us) and remembers it
// in the page table, where PAGEMAP_SCAN finds it and protects the page again.
//
// A walk covers many regions. Mappings that are not registered here are skipped by the kernel at
// 0.1 us each, which is less than the 0.77 us of another call.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>

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

// Blocks become dense as they fill up, which is not worth watching: 4 us for a heap of 1 GiB.
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
sys::Result sweep(Range range, RunSink sink, bool dense = false) {
  return scan_pages(pagemap.fd(), range, true, abi::kPageIsWritten,
                    dense ? 0 : abi::kPageIsPresent | abi::kPageIsSwapped, sink);
}

sys::Result sweep_all(RunSink sink) {
  const uint64_t begin = region_at(0).range.begin;
  const uint64_t end = region_at(region_count() - 1).range.end();
  return sweep({begin, end - begin}, sink);
}

sys::Result sweep_planned(RunSink sink) {
  if (plan_stale || finds % kReplanFinds == 0) plan.build();
  plan_stale = false;
  for (const Span& span : plan) {
    const auto swept = sweep({span.begin, span.end - span.begin}, sink, span.dense);
    if (!swept.ok()) return swept;
  }
  return sys::Result(0);
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
  return sweep(region.range, sink);
}

void end(const Region& region) {
  plan_stale = true;
  // Fails where the memory is gone already, and then nothing is registered either.
  unregister_range(region.range).ignore();
}

sys::Result find(RunSink sink, bool everywhere) {
  if (region_count() == 0) return sys::Result(0);
  const bool wide = everywhere || ++finds % kWideFinds == 0;
  return wide ? sweep_all(sink) : sweep_planned(sink);
}

void used_ranges_changed() { plan_stale = true; }

// A page left unprotected is one outside the registration: the walk does not stop at it. (Lifting
// its protection after each scan costs as much as the fault: 0.84 us. Scanning around it: 1.2 us.)
bool make_hot(uint64_t page) { return unregister_range({page, kPageBytes}).ok(); }

// Registered again it has no protection yet, so the next find() reports it and protects it.
bool make_cold(uint64_t page) { return register_range({page, kPageBytes}).ok(); }

}  // namespace evenkeel::snapshot::uffd_tracker
