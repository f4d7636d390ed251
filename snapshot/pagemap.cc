#include <fcntl.h>
#include <sys/resource.h>

#include "snapshot/kernel_abi.h"
#include "snapshot/tracker.h"

namespace evenkeel::snapshot {
namespace {

// Runs per ioctl. The kernel allocates as much itself: from 512 on that is a slower kind of
// allocation (measured: 1.22 us a call beside 0.77 us).
constexpr uint64_t kVectorRuns = 256;
constinit abi::PageRegion vector[kVectorRuns] = {};

// Descriptors of the runtime stay out of the numbers that the server gets, and below its limit.
long first_private_fd() {
  constexpr uint64_t kUsualLimit = 1024;
  constexpr uint64_t kReserved = 32;
  rlimit limit = {};
  const auto got = sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::arg(&limit));
  if (!got.ok() || limit.rlim_cur <= 2 * kReserved) return 0;
  return static_cast<long>((limit.rlim_cur < kUsualLimit ? limit.rlim_cur : kUsualLimit) -
                           kReserved);
}

}  // namespace

int move_fd_high(int fd) {
  const auto high = sys::call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, first_private_fd());
  if (!high.ok()) return fd;  // it works where it is
  sys::close(fd).ignore();
  return static_cast<int>(high.value());
}

sys::Result scan_pages(int pagemap_fd, Range range, const PageQuery& query, RunSink sink) {
  abi::PagemapScan scan = {};
  scan.size = sizeof(scan);
  scan.flags = query.protect ? abi::kWriteProtectMatching : 0;
  scan.end = range.end();
  scan.vec = reinterpret_cast<uint64_t>(vector);
  scan.vec_len = kVectorRuns;
  scan.category_inverted = query.inverted;
  scan.category_mask = query.mask;
  scan.category_anyof_mask = query.any;
  scan.return_mask = query.mask;  // runs are not cut where only the other categories change
  for (scan.start = range.begin; scan.start < range.end(); scan.start = scan.walk_end) {
    const auto found = sys::ioctl(pagemap_fd, abi::kPagemapScan, &scan);
    if (!found.ok()) return found;
    for (long i = 0; i < found.value(); ++i) sink.run(sink.context, vector[i].start, vector[i].end);
  }
  return sys::Result(0);
}

sys::Result PresentPages::open() {
  const auto opened = sys::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (!opened.ok()) return opened;
  fd_ = move_fd_high(static_cast<int>(opened.value()));
  // An empty scan: succeeds where the kernel has the call.
  const RunSink nowhere = {[](void*, uint64_t, uint64_t) {}, nullptr};
  const Range vector_page = {page_floor(reinterpret_cast<uint64_t>(vector)), kPageBytes};
  has_scan_ = scan_pages(fd_, vector_page, {.mask = abi::kPageIsPresent}, nowhere).ok();
  return sys::Result(0);
}

void PresentPages::close() {
  if (fd_ >= 0) sys::close(fd_).ignore();
  fd_ = -1;
}

sys::Result PresentPages::report(Range range, RunSink sink) const {
  if (!has_scan_) return read_entries(range, sink);
  return scan_pages(fd_, range, {.any = abi::kPageIsPresent | abi::kPageIsSwapped}, sink);
}

sys::Result PresentPages::read_entries(Range range, RunSink sink) const {
  constexpr uint64_t kEntries = 128;  // 1 KiB of stack
  constexpr uint64_t kExists = abi::kPagemapPresent | abi::kPagemapSwapped;
  uint64_t entries[kEntries];
  uint64_t address = range.begin;
  while (address < range.end()) {
    const uint64_t left = (range.end() - address) / kPageBytes;
    const uint64_t wanted_bytes = (left < kEntries ? left : kEntries) * sizeof(uint64_t);
    const auto got = sys::call(SYS_pread64, fd_, sys::arg(entries), static_cast<long>(wanted_bytes),
                               static_cast<long>(address / kPageBytes * sizeof(uint64_t)));
    if (!got.ok()) return got;
    if (got.value() < static_cast<long>(sizeof(uint64_t))) return sys::Result(-EIO);
    const uint64_t count = static_cast<uint64_t>(got.value()) / sizeof(uint64_t);
    for (uint64_t i = 0; i < count; ++i, address += kPageBytes) {
      if ((entries[i] & kExists) != 0) sink.run(sink.context, address, address + kPageBytes);
    }
  }
  return sys::Result(0);
}

}  // namespace evenkeel::snapshot
