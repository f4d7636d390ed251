#pragma once
// Snapshot sessions for tests: memory at fixed addresses of the map arena, and the SIGSEGV handler
// that a replica would have.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/core/layout.h"
#include "snapshot/snapshot.h"

namespace evenkeel::test {

constexpr uint64_t kBase = kMapArena.begin;

inline Range pages_at(uint64_t begin, uint64_t pages) { return {begin, pages * kPageBytes}; }

// Anonymous memory, unmapped at the end.
class Memory {
 public:
  explicit Memory(Range range) : range_(range) {
    void* mapped = mmap(reinterpret_cast<void*>(range.begin), range.bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped == MAP_FAILED) abort();
  }
  ~Memory() { munmap(reinterpret_cast<void*>(range_.begin), range_.bytes); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] Range range() const { return range_; }
  [[nodiscard]] uint64_t page(uint64_t index) const { return range_.begin + index * kPageBytes; }
  // volatile: a store that the compiler could drop or merge would not be the write under test.
  [[nodiscard]] volatile uint8_t& at(uint64_t index, uint64_t offset = 0) const {
    return *reinterpret_cast<volatile uint8_t*>(page(index) + offset);
  }

 private:
  Range range_;
};

inline void on_segv(int signal, siginfo_t* info, void* context) {
  constexpr greg_t kWriteAccess = 2;
  const auto* user = static_cast<const ucontext_t*>(context);
  const bool write = (user->uc_mcontext.gregs[REG_ERR] & kWriteAccess) != 0;
  if (write && snapshot::handle_write_fault(reinterpret_cast<uint64_t>(info->si_addr))) return;
  ::signal(signal, SIG_DFL);  // returns to the instruction, which now kills the test
}

inline int make_image_file() {
  const int fd = memfd_create("image", MFD_CLOEXEC);
  if (fd < 0) abort();
  return fd;
}

class Session {
 public:
  explicit Session(snapshot::Backend backend, bool compare = true, int image_fd = -1) {
    struct sigaction action = {};
    action.sa_sigaction = on_segv;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before_);
    const auto begun =
        snapshot::init({.backend = backend, .image_fd = image_fd, .compare = compare});
    EXPECT_EQ(begun.err(), 0);
  }
  ~Session() {
    snapshot::shutdown();
    sigaction(SIGSEGV, &before_, nullptr);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  struct sigaction before_ = {};
};

inline std::vector<snapshot::DirtyPage> collect() {
  snapshot::DirtyPages dirty = {};
  EXPECT_EQ(snapshot::collect(dirty).err(), 0);
  return {dirty.pages, dirty.pages + dirty.count};
}

inline std::vector<uint64_t> addresses(const std::vector<snapshot::DirtyPage>& dirty) {
  std::vector<uint64_t> found;
  for (const auto& page : dirty) found.push_back(page.address);
  return found;
}
inline std::vector<uint64_t> collect_addresses() { return addresses(collect()); }

inline void collect_and_commit() {
  collect();
  snapshot::commit(true);
}

inline bool page_is(uint64_t page, uint8_t value) {
  const std::vector<uint8_t> expected(kPageBytes, value);
  return memcmp(reinterpret_cast<void*>(page), expected.data(), kPageBytes) == 0;
}

// Both backends.
class SnapshotTest : public testing::TestWithParam<snapshot::Backend> {
 protected:
  [[nodiscard]] static bool uffd() { return GetParam() == snapshot::Backend::kUserfaultfd; }
};

inline std::string backend_name(const testing::TestParamInfo<snapshot::Backend>& info) {
  return info.param == snapshot::Backend::kUserfaultfd ? "Userfaultfd" : "Mprotect";
}

#define EVENKEEL_BOTH_BACKENDS(suite)                                                   \
  INSTANTIATE_TEST_SUITE_P(Both, suite,                                                 \
                           testing::Values(::evenkeel::snapshot::Backend::kUserfaultfd, \
                                           ::evenkeel::snapshot::Backend::kMprotect),   \
                           ::evenkeel::test::backend_name)

}  // namespace evenkeel::test
