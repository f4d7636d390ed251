#pragma once
// Copy-on-write checkpoint of the replica's memory: which pages were written since the committed
// image, and making memory into the image (commit) or the image into memory (rollback).
//
// A region is hashed (its image is shared by the replicas of a host; only the writer copies into
// it, the others already agree with it) or tracked (private image). Dirty pages come from a
// DirtyTracker: asynchronous userfaultfd write-protection with PAGEMAP_SCAN, or mprotect + SIGSEGV.
//
// Threads: all calls from the one thread that runs while every application thread is parked;
//          handle_write_fault() from the signal handler of any thread.
// Memory:  images in kImageArena; page lists and bookkeeping mapped at init, sized by named
//          constants in snapshot.cc. Growth beyond them is fatal with a message that names them.
// Errors:  kernel errno in sys::Result. A failed collect() leaves image and memory as they were.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/sys.h"

namespace evenkeel::snapshot {

enum class Kind : uint8_t { kHashed, kTracked };
enum class Backend : uint8_t { kUserfaultfd, kMprotect };

struct Config {
  Backend backend;
  int image_fd;      // memfd of the shared image of hashed regions; -1: private (one replica)
  bool compare;      // false: nobody needs to know which dirty pages really differ (one replica)
};

// One page written since the last commit.
struct DirtyPage {
  uint64_t address;
  Kind kind;
  // True when its content equals the image (found only for hashed pages, and only if
  // Config::compare). Such a page is neither hashed nor copied.
  bool unchanged;
};

struct Stats {  // cumulative
  uint64_t written_pages;    // reported by the tracker
  uint64_t unchanged_pages;
  uint64_t hot_pages;        // left unprotected, summed over collects
  uint64_t scan_ns, compare_ns, commit_ns, rollback_ns;
};

// Opens the backend. kUserfaultfd fails with the kernel's errno where it is not offered.
sys::Result init(const Config& config);

// Whether this kernel offers the backend, for `evenkeel doctor` and for --tracker auto. Opens and
// closes what it needs, changes nothing.
bool available(Backend backend);

// Begins to track [range). The pages must be private anonymous memory, readable and writable, and
// their present content becomes the image. Called at start-up and between batches.
// A region may be reserved far larger than what is used: see set_used().
sys::Result add_region(Range range, Kind kind);
sys::Result remove_region(Range range);

// Only [region.begin, used_end) of the region that contains used_end - 1 can have been written.
void set_used(uint64_t used_end);
// A region whose use has holes (the heap): tells the used subranges anew before every collect.
void set_used_ranges(Range region, const Range* used, size_t count);

// The pages written since the last commit or rollback, by ascending address, valid until the next
// call. Write protection is in force again when it returns, except for hot pages (dirty in most of
// the last batches), which are compared instead of protected.
struct DirtyPages {
  const DirtyPage* pages;
  size_t count;
};
sys::Result collect(DirtyPages& out);

// Memory becomes the image, for the pages of the last collect(). `write_shared`: this replica is
// the one that copies hashed pages into the shared image.
void commit(bool write_shared);

// The image becomes memory, for the pages of the last collect(). Only after the shared image is
// known to be complete.
void rollback();

// The committed content of a page that collect() has reported; a page never committed is all zero.
const void* image_of(uint64_t page);

// kMprotect: call from the SIGSEGV handler. True if the fault was ours and is resolved.
bool handle_write_fault(uint64_t address);

// Kernel calls write to memory as well. With kMprotect a protected buffer would make them fail with
// EFAULT, so hooks announce buffers before a real system call writes into them.
void prepare_kernel_write(void* address, size_t bytes);

const Stats& stats();

}  // namespace evenkeel::snapshot
