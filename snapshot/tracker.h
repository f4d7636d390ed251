#pragma once
// The two ways to learn which pages were written. Both have the same functions; snapshot.cc
// chooses.
//
// Threads: the pump, except mprotect_tracker::open_for_write(). Memory: static vectors; the list of
// written pages in the book. Errors: kernel errno.
#include <cstdint>

#include "snapshot/region.h"

namespace evenkeel::snapshot {

// Receives runs of written pages, ascending. A run may span adjacent regions.
struct RunSink {
  void (*run)(void* context, uint64_t begin, uint64_t end);
  void* context;
};

namespace uffd_tracker {

[[nodiscard]] bool available();
sys::Result open();
void start();  // after open(), once the book is there
void close();
// Reports the pages that exist and protects them.
sys::Result begin(const Region& region, RunSink sink);
void end(const Region& region);
// Reports the pages written since the last call and protects them again. Looks where pages are
// used, and now and then, or if `everywhere`, in whole regions.
sys::Result find(RunSink sink, bool everywhere);
void used_ranges_changed();
// Leaves a page unprotected, and the reverse: it is then reported by the next find().
bool make_hot(uint64_t page);
bool make_cold(uint64_t page);

}  // namespace uffd_tracker

namespace mprotect_tracker {

sys::Result open();
void close();
sys::Result begin(Region& region, RunSink sink);
void end(Region& region);
sys::Result find(RunSink sink);
bool make_hot(uint64_t page);
bool make_cold(uint64_t page);

// Pages [first, last) become writable (where the application may write) and count as written.
// Async-signal-safe and concurrent.
void open_for_write(Region& region, uint64_t first, uint64_t last);
// For tests: no PAGEMAP_SCAN from now on (Linux before 6.7).
void pretend_old_kernel();

}  // namespace mprotect_tracker

// Reports the pages that exist in [range), for either tracker. Needs no userfaultfd.
class PresentPages {
 public:
  sys::Result open();
  void close();
  sys::Result report(Range range, RunSink sink) const;
  // Pretends that the kernel has no PAGEMAP_SCAN (Linux before 6.7).
  void forget_scan() { has_scan_ = false; }
  [[nodiscard]] bool has_scan() const { return has_scan_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  sys::Result read_entries(Range range, RunSink sink) const;

  int fd_ = -1;  // /proc/self/pagemap
  bool has_scan_ = false;
};

// Duplicates a descriptor of the runtime to a number out of the way of the server's.
int move_fd_high(int fd);

// Which pages a scan reports: those with all categories of `mask` and one of `any` (0: whichever),
// where a category that is also in `inverted` stands for its absence. `protect`: and
// write-protects.
struct PageQuery {
  uint64_t mask = 0;
  uint64_t any = 0;
  uint64_t inverted = 0;
  bool protect = false;
};
sys::Result scan_pages(int pagemap_fd, Range range, const PageQuery& query, RunSink sink);

}  // namespace evenkeel::snapshot
