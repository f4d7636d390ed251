// The kernel refuses: every system call of init() fails in turn, and init() says with which errno
// and leaves nothing behind.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstddef>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Backend;

// From now on `number` fails with `error` if its second argument is `second` (or always: kAny).
constexpr uint32_t kAny = UINT32_MAX;
bool forbid(uint32_t number, uint32_t second, uint32_t error) {
  const uint8_t otherwise = second == kAny ? 0 : 1;  // instructions to skip
  const uint32_t number_at = offsetof(seccomp_data, nr);
  const uint32_t second_at = offsetof(seccomp_data, args) + sizeof(uint64_t);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, second_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, otherwise),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int lowest_free_fd() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

// Nothing left: the arena is free and so are the descriptors.
bool clean_after_failure(int lowest_before) {
  void* again = mmap(reinterpret_cast<void*>(kImageArena.begin), kPageBytes, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  bool high_free = true;
  for (int fd = 900; fd < 1024; ++fd) high_free = high_free && fcntl(fd, F_GETFD) == -1;
  return again != MAP_FAILED && high_free && lowest_free_fd() == lowest_before;
}

// errno of init() in a process in which the call fails; 200: init() succeeded; 201: it left
// something behind; 202: the filter could not be installed.
int init_with(uint32_t number, uint32_t second, uint32_t error, Backend backend, bool shared) {
  const pid_t child = fork();
  if (child == 0) {
    const int image_fd = shared ? make_image_file() : -1;
    const int lowest = lowest_free_fd();
    if (!forbid(number, second, error)) _exit(202);
    const auto begun = snapshot::init({.backend = backend, .image_fd = image_fd, .compare = true});
    if (begun.ok()) _exit(200);
    // mmap itself may be what fails: then there is nothing to look for.
    if (number != SYS_mmap && !clean_after_failure(lowest)) _exit(201);
    _exit(begun.err());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

struct Fault {
  uint32_t number;
  uint32_t second;
  uint32_t error;
  bool shared_only;
  bool uffd_only;
};

constexpr uint32_t kUffdioApi = 0xc018'aa3f;
constexpr uint32_t kPagemapScan = 0xc060'6610;
constexpr Fault kFaults[] = {
    {SYS_mmap, kAny, ENOMEM, false, false},       {SYS_fstat, kAny, EIO, true, false},
    {SYS_ftruncate, kAny, EFBIG, true, false},    {SYS_userfaultfd, kAny, EPERM, false, true},
    {SYS_userfaultfd, kAny, ENOSYS, false, true}, {SYS_ioctl, kUffdioApi, EINVAL, false, true},
    {SYS_openat, kAny, EACCES, false, false},
};

class InitFaults : public SnapshotTest {};
EVENKEEL_BOTH_BACKENDS(InitFaults);

TEST_P(InitFaults, EachReturnsItsErrno) {
  for (const Fault& fault : kFaults) {
    SCOPED_TRACE(fault.number);
    const bool concerned = uffd() || !fault.uffd_only;
    const int error = static_cast<int>(fault.error);
    EXPECT_EQ(init_with(fault.number, fault.second, fault.error, GetParam(), true),
              concerned ? error : 200);
    EXPECT_EQ(init_with(fault.number, fault.second, fault.error, GetParam(), false),
              concerned && !fault.shared_only ? error : 200);
  }
}

TEST_P(InitFaults, WithoutPagemapScanOnlyMprotectWorks) {
  EXPECT_EQ(init_with(SYS_ioctl, kPagemapScan, ENOTTY, GetParam(), false), uffd() ? ENOTTY : 200);
}

TEST_P(InitFaults, DescriptorsThatCannotMoveStay) {
  EXPECT_EQ(init_with(SYS_fcntl, F_DUPFD_CLOEXEC, EMFILE, GetParam(), false), 200);
}

TEST_P(InitFaults, BadImageDescriptorIsRefused) {
  const auto begun = snapshot::init({.backend = GetParam(), .image_fd = 12345, .compare = true});
  EXPECT_EQ(begun.err(), EBADF);
}

TEST_P(InitFaults, AvailabilityFollowsTheKernel) {
  const pid_t child = fork();
  if (child == 0) {
    if (!forbid(SYS_userfaultfd, kAny, EPERM)) _exit(202);
    _exit(snapshot::available(GetParam()) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), uffd() ? 0 : 1);
}

TEST_P(InitFaults, RegistrationThatFailsAddsNoRegion) {
  const pid_t child = fork();
  if (child == 0) {
    const Memory memory(pages_at(kBase, 4));
    const Session session(GetParam());
    constexpr uint32_t kUffdioRegister = 0xc020'aa00;
    if (!(uffd() ? forbid(SYS_ioctl, kUffdioRegister, EBUSY) : forbid(SYS_mprotect, kAny, EBUSY))) {
      _exit(202);
    }
    if (snapshot::add_region(memory.range(), snapshot::Kind::kHashed).err() != EBUSY) _exit(1);
    memory.at(1) = 1;
    _exit(collect().empty() ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace evenkeel::test
