#pragma once
// Kernel interfaces newer than the build machine's headers (Debian 12 has those of Linux 6.1).
// Source: Linux Documentation/admin-guide/mm/pagemap.rst and userfaultfd.rst; include/uapi/linux/
// fs.h and userfaultfd.h. Stable ABI since Linux 6.7.
#include <linux/ioctl.h>

#include <cstdint>

namespace evenkeel::snapshot::abi {

struct PageRegion {  // struct page_region
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};

struct PagemapScan {  // struct pm_scan_arg
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;  // out: where the walk stopped because the vector was full
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(PageRegion) == 24);
static_assert(sizeof(PagemapScan) == 96);

constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);

// PagemapScan::flags
constexpr uint64_t kWriteProtectMatching = 1 << 0;  // PM_SCAN_WP_MATCHING
constexpr uint64_t kCheckWpAsync = 1 << 1;          // PM_SCAN_CHECK_WPASYNC

// Categories.
constexpr uint64_t kPageIsWritten = 1 << 1;
constexpr uint64_t kPageIsPresent = 1 << 3;
constexpr uint64_t kPageIsSwapped = 1 << 4;

// userfaultfd(2): flag and features.
constexpr int kUserModeOnly = 1;                        // UFFD_USER_MODE_ONLY
constexpr uint64_t kFeatureWpUnpopulated = 1ULL << 13;  // UFFD_FEATURE_WP_UNPOPULATED
constexpr uint64_t kFeatureWpAsync = 1ULL << 15;        // UFFD_FEATURE_WP_ASYNC

// An entry of /proc/self/pagemap.
constexpr uint64_t kPagemapPresent = 1ULL << 63;
constexpr uint64_t kPagemapSwapped = 1ULL << 62;

}  // namespace evenkeel::snapshot::abi
