#pragma once
// Copy-on-write checkpoint of the replica's memory: which pages were written since the committed
// image, and making memory into the image (commit) or the image into memory (rollback).
//
// A region is hashed (its image is shared by the replicas of a host; only the writer copies into
// it, the others already agree with it) or tracked (private image). Dirty pages come from a
// tracker: asynchronous userfaultfd write-protection with PAGEMAP_SCAN, or mprotect + SIGSEGV.
//
// Inside a region the runtime must not call mmap(MAP_FIXED), munmap, mprotect or MADV_DONTNEED
// itself: the tracker would not see it. protect() and discard() are those calls for regions.
//
// Threads: all calls from the one thread that runs while every application thread is parked; but
//          handle_write_fault(), prepare_kernel_write(), protect() and discard() from any thread.
// Memory:  images in kImageArena; page lists and bookkeeping mapped at init, sized by named
//          constants in region.h and page_list.h. Growth beyond them is fatal with a message that
//          names them.
// Errors:  kernel errno in sys::Result. A failed collect() leaves image and memory as they were,
//          and loses no page: the next one reports it.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"

namespace evenkeel::snapshot {

enum class Kind : uint8_t {
  kHashed,
  kTracked,
  // Tracked, and never protected with mprotect: the kernel pushes signal frames here and kills the
  // process if it cannot. With kMprotect all its present pages count as written in every batch.
  kStack,
};
enum class Backend : uint8_t { kUserfaultfd, kMprotect };

struct Config {
  Backend backend;
  int image_fd;  // memfd of the shared image of hashed regions; -1: private (one replica)
  bool compare;  // false: nobody needs to know which dirty pages really differ (one replica)
};

// One page written since the last commit.
struct DirtyPage {
  uint64_t address;
  Kind kind;
  // True when its content is known to equal the image. Looked for in hashed pages if
  // Config::compare, and now and then in other hot pages. Such a page is neither hashed nor copied.
  bool unchanged;
  bool hot;  // left unprotected: reported whether or not it was written
};

struct Stats {             // cumulative
  uint64_t written_pages;  // reported by the tracker
  uint64_t unchanged_pages;
  uint64_t hot_pages;  // left unprotected, summed over collects
  uint64_t scan_ns, compare_ns, commit_ns, rollback_ns;
};

// Opens the backend. kUserfaultfd fails with the kernel's errno where it is not offered.
sys::Result init(const Config& config);
// Ends all tracking, forgets the images; memory stays as it is. init() may follow.
void shutdown();

// Whether this kernel offers the backend, for `evenkeel doctor` and for --tracker auto. Opens and
// closes what it needs, changes nothing.
bool available(Backend backend);

// Begins to track [range), of whole pages. They must be private anonymous memory, readable and
// writable; their present content becomes the image. `write_shared`: this replica copies hashed
// content into the shared image (all replicas may: the content is equal; one suffices). Called at
// start-up and between batches. Pages never touched cost nothing, so a region may be reserved far
// larger than what is used. `used_bytes`: pages beyond have never been touched; without
// PAGEMAP_SCAN (before Linux 6.7) looking for such takes a second for each terabyte and more.
// EEXIST if it overlaps a region.
sys::Result add_region(Range range, Kind kind, bool write_shared = true,
                       uint64_t used_bytes = UINT64_MAX);
// Before the memory is unmapped. Exactly a range that was added; ENOENT otherwise.
sys::Result remove_region(Range range);

// The parts of a region in which pages can have been written since it was added, ascending; rounded
// to pages, clipped to the region. Never called: everywhere. Saves 17 us a batch for each arena of
// terabytes, and is cheap to call with the same ranges before every collect(). One range from the
// begin of an arena to its high-water mark is as good as many. A page written outside is found
// late: after 256 batches, or by rollback(). In a kStack region with kMprotect the ranges must
// cover what was in use at the last commit and what is in use now; what is outside is not copied.
void set_used_ranges(Range region, const Range* used, size_t count);

// The application's mprotect(2) within one region. Undone by rollback(), made lasting by commit().
sys::Result protect(Range range, int protection);
// The application's (or the allocator's) MADV_DONTNEED within one region: the pages become zero and
// their memory is given back, as far as the image does not need them to be seen as written.
sys::Result discard(Range range);

// The pages written since the last commit or rollback, by ascending address, valid until the next
// call. Write protection is in force again when it returns, except for hot pages (dirty in most of
// the last batches), which are compared instead of protected. The pages are readable until commit()
// or rollback(), even if the application took that right away. Called again without either, it
// reports the union.
struct DirtyPages {
  const DirtyPage* pages;
  size_t count;
};
sys::Result collect(DirtyPages& out);

// Memory becomes the image, for the pages of the last collect(). `write_shared`: this replica is
// the one that copies hashed pages into the shared image. Nothing may be written to regions between
// collect() and commit().
void commit(bool write_shared);
// The writer died in the middle of its commit, and this replica, which has done its own and run
// nothing since, succeeds it: writes the hashed pages of the last commit into the shared image.
void commit_again();

// The writer died when nobody can tell what it had written to the shared image: this replica, whose
// memory has just been committed, writes every page that differs.
void rewrite_image();

// This replica becomes a copy of another: same regions, same memory, the image (which that one has
// just committed and nobody writes) known as it knows it. Whatever was tracked here is forgotten;
// all memory of the other's regions must be mapped here, readable and writable unless protect()
// has said otherwise. On failure the process is good for nothing.
sys::Result take_over(const Peer& peer);
// The last step of it: until then all pages are readable.
sys::Result enforce_protections();
// Calls visit(context, page) for every page of hashed regions that the image has, ascending.
void for_each_hashed_page(void (*visit)(void* context, uint64_t page), void* context);

// The image becomes memory, for every page written since the last commit, whether or not collect()
// has reported it; page protections too. Only after the shared image is known to be complete. The
// list of regions is the runtime's own state and stays as it is.
void rollback();

// The committed content of a page that collect() has reported; a page never committed is all zero.
const void* image_of(uint64_t page);

// kMprotect: call from the SIGSEGV handler, for writes only (bit 1 of the page-fault error code in
// gregs[REG_ERR]). True if the fault was ours and is resolved; false: it is the application's.
bool handle_write_fault(uint64_t address);

// Kernel calls write to memory as well. With kMprotect a protected buffer would make them fail with
// EFAULT, so hooks announce buffers before a real system call writes into them.
void prepare_kernel_write(void* address, size_t bytes);

const Stats& stats();

}  // namespace evenkeel::snapshot
