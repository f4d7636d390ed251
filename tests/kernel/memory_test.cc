#include "runtime/kernel/memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;
using snapshot::Backend;

constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr int kRW = PROT_READ | PROT_WRITE;

long map(uint64_t bytes, int protection = kRW, int flags = kPrivate, int fd = -1,
         uint64_t offset = 0, uint64_t address = 0) {
  return call(SYS_mmap, address, bytes, protection, flags, fd, offset);
}
uint64_t mapped(long result) {
  REQUIRE(result > 0);
  return static_cast<uint64_t>(result);
}
volatile uint8_t& byte(uint64_t address) { return *reinterpret_cast<volatile uint8_t*>(address); }

// Every page of the file begins with its number, counted from 1.
class NumberedFile {
 public:
  explicit NumberedFile(int pages) {
    const int fd = mkstemp(path_);
    if (fd < 0) abort();
    for (int i = 0; i < pages; ++i) {
      char page[kPageBytes] = {};
      page[0] = static_cast<char>(i + 1);
      if (write(fd, page, sizeof page) != sizeof page) abort();
    }
    close(fd);
  }
  ~NumberedFile() { unlink(path_); }
  NumberedFile(const NumberedFile&) = delete;
  NumberedFile& operator=(const NumberedFile&) = delete;

  [[nodiscard]] int open(int flags = O_RDONLY) const {
    const long fd = call(SYS_openat, AT_FDCWD, path_, flags, 0);
    REQUIRE(fd >= 0);
    return static_cast<int>(fd);
  }
  [[nodiscard]] const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/evenkeel-memory-XXXXXX";
};

// The line of /proc/self/maps that holds the address.
std::string mapping_at(uint64_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0;
    uint64_t end = 0;
    if (sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2 && begin <= address && address < end) {
      return line;
    }
  }
  return "";
}
bool has_permissions(uint64_t address, const char* wanted) {
  return mapping_at(address).find(wanted) != std::string::npos;
}

TEST(Memory, PlacesMappingsInTheLowestGap) {
  EXPECT_EQ(run_kernel([] {
              const uint64_t a = mapped(map(3 * kPageBytes));
              const uint64_t b = mapped(map(1));
              REQUIRE_EQ(a, kMapArena.begin);
              REQUIRE_EQ(b, a + 3 * kPageBytes);
              REQUIRE_EQ(call(SYS_munmap, a + kPageBytes, kPageBytes), 0);
              REQUIRE_EQ(map(2 * kPageBytes), b + kPageBytes);
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate, -1, 0, 0x123000), a + kPageBytes);
              REQUIRE_EQ(kernel::used_end(kMapArena), b + 3 * kPageBytes);
            }),
            kPassed);
}

TEST(Memory, GivesZeroedMemoryAgain) {
  EXPECT_EQ(run_kernel([] {
              const uint64_t a = mapped(map(2 * kPageBytes));
              byte(a) = 7;
              byte(a + kPageBytes) = 7;
              REQUIRE_EQ(call(SYS_mprotect, a, kPageBytes, PROT_NONE), 0);
              REQUIRE_EQ(call(SYS_munmap, a, 2 * kPageBytes), 0);
              REQUIRE_EQ(map(2 * kPageBytes), a);
              REQUIRE_EQ(byte(a), 0);
              REQUIRE_EQ(byte(a + kPageBytes), 0);
              byte(a) = 1;  // writable again
            }),
            kPassed);
}

TEST(Memory, MakesThreadStacksAsTheCLibraryDoes) {
  EXPECT_EQ(run_kernel([] {
              constexpr uint64_t kBytes = 64 * kPageBytes;
              const uint64_t stack = mapped(map(kBytes, PROT_NONE, kPrivate | MAP_STACK));
              REQUIRE_EQ(stack, kStackArena.begin);
              REQUIRE(has_permissions(stack, "---p"));
              REQUIRE_EQ(call(SYS_mprotect, stack + kPageBytes, kBytes - kPageBytes, kRW), 0);
              REQUIRE(has_permissions(stack, "---p"));
              REQUIRE(has_permissions(stack + kPageBytes, "rw-p"));
              byte(stack + kPageBytes) = 9;
              REQUIRE_EQ(call(SYS_madvise, stack, kBytes, MADV_DONTNEED), 0);
              REQUIRE_EQ(byte(stack + kPageBytes), 9);
              REQUIRE_EQ(call(SYS_munmap, stack, kBytes), 0);
              REQUIRE(has_permissions(stack, "rw-p"));
              REQUIRE_EQ(byte(stack + kPageBytes), 0);
            }),
            kPassed);
}

TEST(Memory, GivesTheMainThreadAStackWithAGuard) {
  EXPECT_EQ(run_kernel([] {
              const Range stack = kernel::allocate_stack(100'000);
              REQUIRE(stack.bytes >= 100'000);
              REQUIRE(has_permissions(stack.begin - kPageBytes, "---p"));
              byte(stack.begin) = 1;
              byte(stack.end() - 1) = 1;
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_STACK), stack.end());
            }),
            kPassed);
}

TEST(Memory, RefusesAsTheKernelDoes) {
  EXPECT_EQ(run_kernel([] {
              const uint64_t a = mapped(map(2 * kPageBytes));
              REQUIRE_EQ(map(0), -EINVAL);
              REQUIRE_EQ(map(kPageBytes, kRW, MAP_ANONYMOUS), -EINVAL);
              REQUIRE_EQ(map(UINT64_MAX - 5), -ENOMEM);
              REQUIRE_EQ(map(2 * kMapArena.bytes), -ENOMEM);
              REQUIRE_EQ(map(kPageBytes, kRW, MAP_PRIVATE, 999), -EBADF);
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_FIXED, -1, 0, a + 1), -EINVAL);
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, a), -EEXIST);
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_FIXED, -1, 0, kDeckArena.begin),
                         -ENOMEM);
              REQUIRE_EQ(call(SYS_munmap, a + 1, kPageBytes), -EINVAL);
              REQUIRE_EQ(call(SYS_munmap, a, 0), -EINVAL);
              REQUIRE_EQ(call(SYS_mprotect, a + 1, 1, PROT_NONE), -EINVAL);
              REQUIRE_EQ(call(SYS_mprotect, a, 3 * kPageBytes, PROT_NONE), -ENOMEM);
              REQUIRE_EQ(call(SYS_mprotect, kKernelArena.begin, kPageBytes, PROT_NONE), -EACCES);
              REQUIRE_EQ(call(SYS_madvise, a, 3 * kPageBytes, MADV_DONTNEED), -ENOMEM);
              REQUIRE_EQ(call(SYS_madvise, a, kPageBytes, 9999), -EINVAL);
              REQUIRE_EQ(call(SYS_mremap, a, 3 * kPageBytes, kPageBytes, 0), -EFAULT);
              byte(a) = 1;
              byte(a + kPageBytes) = 1;
            }),
            kPassed);
}

TEST(Memory, RefusesWhatNoReplicaCanHave) {
  const NumberedFile file(2);
  EXPECT_EQ(run_kernel([&] {
              const int fd = file.open(O_RDWR);
              REQUIRE_EQ(map(kPageBytes, kRW, MAP_SHARED, fd), -ENODEV);
              REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_32BIT), -ENOMEM);
              const auto& names = kernel::replica().unhandled_names;
              REQUIRE(std::strcmp(names[0].name, "mmap MAP_SHARED file") == 0);
              REQUIRE(std::strcmp(names[1].name, "mmap MAP_32BIT") == 0);
              REQUIRE(map(kPageBytes, kRW, MAP_SHARED | MAP_ANONYMOUS) > 0);
              REQUIRE(map(kPageBytes, PROT_READ, MAP_SHARED, fd) > 0);
            }),
            kPassed);
}

TEST(Memory, RemapsInPlaceOrElsewhere) {
  EXPECT_EQ(
      run_kernel([] {
        const uint64_t a = mapped(map(2 * kPageBytes));
        byte(a) = 3;
        REQUIRE_EQ(call(SYS_mremap, a, 2 * kPageBytes, 4 * kPageBytes, 0), a);
        const uint64_t b = mapped(map(kPageBytes));
        REQUIRE_EQ(b, a + 4 * kPageBytes);
        REQUIRE_EQ(call(SYS_mremap, a, 4 * kPageBytes, 5 * kPageBytes, 0), -ENOMEM);
        const long moved = call(SYS_mremap, a, 4 * kPageBytes, 5 * kPageBytes, MREMAP_MAYMOVE);
        REQUIRE_EQ(moved, b + kPageBytes);
        REQUIRE_EQ(byte(mapped(moved)), 3);
        REQUIRE_EQ(map(4 * kPageBytes), a);
        REQUIRE_EQ(byte(a), 0);
        REQUIRE_EQ(call(SYS_mremap, moved, 5 * kPageBytes, kPageBytes, 0), moved);
        REQUIRE_EQ(
            call(SYS_mremap, moved, kPageBytes, kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED, a), a);
        REQUIRE_EQ(byte(a), 3);
      }),
      kPassed);
}

// What the dynamic linker does for a library: the whole span from the file, then its pieces.
struct Library {
  uint64_t text, data, bss;
};
Library load(const NumberedFile& file) {
  const int fd = file.open();
  const uint64_t text = mapped(map(5 * kPageBytes, PROT_READ, MAP_PRIVATE, fd));
  const Library library{text, text + 2 * kPageBytes, text + 4 * kPageBytes};
  REQUIRE_EQ(map(kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, kPageBytes,
                 text + kPageBytes),
             text + kPageBytes);
  REQUIRE_EQ(map(2 * kPageBytes, kRW, MAP_PRIVATE | MAP_FIXED, fd, 2 * kPageBytes, library.data),
             library.data);
  REQUIRE_EQ(map(kPageBytes, kRW, kPrivate | MAP_FIXED, -1, 0, library.bss), library.bss);
  REQUIRE_EQ(call(SYS_mprotect, library.data, kPageBytes, PROT_READ), 0);  // RELRO
  REQUIRE_EQ(call(SYS_close, fd), 0);
  return library;
}
void require_loaded(const Library& library, const NumberedFile& file) {
  REQUIRE_EQ(byte(library.text), 1);
  REQUIRE_EQ(byte(library.text + kPageBytes), 2);
  REQUIRE_EQ(byte(library.data), 3);
  REQUIRE_EQ(byte(library.data + kPageBytes), 4);
  REQUIRE(has_permissions(library.text, "r--p"));
  REQUIRE(has_permissions(library.text, file.path()));
  REQUIRE(has_permissions(library.text + kPageBytes, "r-xp"));
  REQUIRE(has_permissions(library.data, "r--p"));
  REQUIRE(!has_permissions(library.data, file.path()));
}

TEST(Memory, LoadsALibrary) {
  const NumberedFile file(4);
  EXPECT_EQ(run_kernel([&] {
              const Library library = load(file);
              REQUIRE_EQ(library.text, kFileArena.begin);
              require_loaded(library, file);
              byte(library.data + kPageBytes) = 8;
              byte(library.bss) = 8;
            }),
            kPassed);
}

class MemoryWithRollback : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (!snapshot::available(GetParam())) GTEST_SKIP() << "this kernel does not offer it";
  }
};

TEST_P(MemoryWithRollback, TracksTheDataOfALibraryLoadedLater) {
  const NumberedFile file(4);
  EXPECT_EQ(run_kernel([&] {
              Boundaries boundaries(GetParam());
              const Decision script[] = {Decision::kCommit,   Decision::kRollback,
                                         Decision::kCommit,   Decision::kRollback,
                                         Decision::kRollback, Decision::kCommit};
              Library library{};
              for (int step = 0; step < 6; ++step) {
                boundaries.pass(script[step]);
                if (step == 0 || step == 1) library = load(file);  // the first time for nothing
                if (step == 1) REQUIRE_EQ(library.text, kFileArena.begin);
                if (step >= 1) require_loaded(library, file);
                if (step == 1) byte(library.bss) = 5;
                if (step == 2) byte(library.bss) = 6;
                if (step == 2) byte(library.data + kPageBytes) = 6;
                if (step == 3) {
                  REQUIRE_EQ(byte(library.bss), 5);
                  REQUIRE_EQ(call(SYS_munmap, library.text, 5 * kPageBytes), 0);
                }
                if (step == 4) {  // unmapped, rolled back, and all there again
                  REQUIRE_EQ(byte(library.bss), 5);
                  REQUIRE_EQ(call(SYS_munmap, library.text, 5 * kPageBytes), 0);
                  REQUIRE(load(file).text != library.text);  // not before the commit
                  break;
                }
              }
              boundaries.pass(Decision::kCommit);
              REQUIRE(has_permissions(library.text, "---p"));
              REQUIRE_EQ(load(file).text, library.text);
            }),
            kPassed);
}

TEST_P(MemoryWithRollback, GoesOnTrackingWhatIsLeftOfALibrarysData) {
  const NumberedFile file(4);
  EXPECT_EQ(run_kernel([&] {
              Boundaries boundaries(GetParam());
              Library library{};
              for (int step = 0; step < 4; ++step) {
                boundaries.pass(step < 3 ? Decision::kCommit : Decision::kRollback);
                volatile uint8_t& last = byte(library.data + kPageBytes);
                if (step == 0) library = load(file);
                if (step == 1) REQUIRE_EQ(call(SYS_munmap, library.bss, kPageBytes), 0);
                if (step == 2) last = 9;
                if (step == 3) REQUIRE_EQ(last, 4);
              }
              require_loaded(library, file);
            }),
            kPassed);
}

TEST_P(MemoryWithRollback, BringsBackAFileMappingThatWasWrittenTo) {
  const NumberedFile file(4);
  EXPECT_EQ(run_kernel([&] {
              Boundaries boundaries(GetParam());
              uint64_t text = 0;
              for (int step = 0; step < 4; ++step) {
                boundaries.pass(step < 2 || step == 3 ? Decision::kCommit : Decision::kRollback);
                if (step == 0) {
                  const int fd = file.open();
                  text = mapped(map(4 * kPageBytes, PROT_READ, MAP_PRIVATE, fd));
                }
                if (step == 3) {
                  REQUIRE_EQ(byte(text + kPageBytes), 9);
                  REQUIRE(has_permissions(text + 2 * kPageBytes, file.path()));
                }
                if (step != 1 && step != 2) continue;
                REQUIRE_EQ(byte(text + kPageBytes), 2);
                REQUIRE(has_permissions(text + kPageBytes, file.path()));
                REQUIRE_EQ(call(SYS_mprotect, text + kPageBytes, kPageBytes, kRW), 0);
                REQUIRE_EQ(byte(text + kPageBytes), 2);
                byte(text + kPageBytes) = 9;
                REQUIRE(!has_permissions(text + kPageBytes, file.path()));
              }
            }),
            kPassed);
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryWithRollback,
                         testing::Values(Backend::kUserfaultfd, Backend::kMprotect),
                         [](const auto& parameter) {
                           return parameter.param == Backend::kUserfaultfd ? "Userfaultfd"
                                                                           : "Mprotect";
                         });

}  // namespace
}  // namespace evenkeel::test
