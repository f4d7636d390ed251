#include "runtime/kernel/real_fd.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/core/text.h"

namespace evenkeel::kernel {
namespace {

// Runtime memory: what is really open, whatever the server's state says.
constexpr int kWords = kMaxFileFds / 64;
struct RealFds {
  uint64_t server_limit;
  int runtime_base;
  int file_base;
  int file_count;
  bool changed;  // since the last close_unneeded_file_fds()
  uint64_t open[kWords];
  uint64_t needed[kWords];
};
constinit RealFds g{};

void mark(int real_fd) {
  const int bit = real_fd - g.file_base;
  // Several carriers may open files at once.
  __atomic_fetch_or(&g.open[bit / 64], uint64_t{1} << (bit % 64), __ATOMIC_RELAXED);
  __atomic_store_n(&g.changed, true, __ATOMIC_RELAXED);
}

void close_now(int fd) { sys::close(fd).ignore(); }  // the descriptor is gone whatever it says

bool is_file(int fd, uint64_t device, uint64_t inode) {
  if (inode == 0) return true;
  struct stat info;
  const auto result = sys::call(SYS_fstat, fd, sys::arg(&info));
  return result.ok() && info.st_dev == device && info.st_ino == inode;
}

long open_through(int pid, int real_fd, int flags) {
  Text<64> link;
  link.add("/proc/").add(pid).add("/fd/").add(real_fd);
  return sys::open(link.c_str(), flags).value();
}

rlimit descriptor_limit() {
  rlimit limit{};
  const auto asked = sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::arg(&limit));
  if (!asked.ok()) EVENKEEL_DIE("cannot read the descriptor limit", "errno", asked.err());
  return limit;
}

}  // namespace

void init_real_fds() {
  if (g.runtime_base != 0) return;
  rlimit limit = descriptor_limit();
  g.server_limit = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  // Refused only if the maximum is above fs.nr_open; then what there is must do.
  sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, sys::arg(&limit), 0).ignore();
  limit = descriptor_limit();
  constexpr int kRuntimeFds = 1024;
  constexpr int kAll = kRuntimeFdBase + kRuntimeFds + kMaxFileFds;
  if (limit.rlim_cur >= kAll) {
    g.runtime_base = kRuntimeFdBase;
    g.file_base = kRuntimeFdBase + kRuntimeFds;
    g.file_count = kMaxFileFds;
    return;
  }
  // A small hard limit: the upper half, of which an eighth is the runtime's own.
  const int top = static_cast<int>(limit.rlim_cur);
  g.runtime_base = top / 2;
  g.file_base = g.runtime_base + top / 16;
  g.file_count = top - g.file_base;
}

int runtime_fd_base() { return g.runtime_base; }
int file_fd_base() { return g.file_base; }
bool is_file_fd(int real_fd) {
  return real_fd >= g.file_base && real_fd < g.file_base + g.file_count;
}

int move_fd_high(int fd) {
  const auto moved = sys::call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, g.runtime_base);
  if (!moved.ok()) EVENKEEL_DIE("cannot move a descriptor", "errno", moved.err());
  EVENKEEL_CHECK(moved.value() < g.file_base);
  close_now(fd);
  return static_cast<int>(moved.value());
}

long adopt_file_fd(int fd) {
  const auto moved = sys::call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, g.file_base);
  close_now(fd);
  if (!moved.ok()) return -EMFILE;
  const int real_fd = static_cast<int>(moved.value());
  if (!is_file_fd(real_fd)) {
    close_now(real_fd);
    return -EMFILE;
  }
  mark(real_fd);
  return real_fd;
}

long place_file_fd(int fd, int real_fd) {
  EVENKEEL_CHECK(is_file_fd(real_fd));
  const auto placed = sys::call(SYS_dup3, fd, real_fd, O_CLOEXEC);
  close_now(fd);
  if (placed.ok()) mark(real_fd);
  return placed.value();
}

long open_same_file(int pid, int real_fd, int open_flags, const char* path, uint64_t device,
                    uint64_t inode) {
  const int flags = open_flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  long fd = open_through(pid, real_fd, flags);
  if (fd < 0 && path != nullptr) fd = sys::open(path, flags).value();
  if (fd < 0) return fd;
  if (!is_file(static_cast<int>(fd), device, inode)) {
    close_now(static_cast<int>(fd));
    return -ESTALE;
  }
  return place_file_fd(static_cast<int>(fd), real_fd);
}

void note_file_fd_released() { __atomic_store_n(&g.changed, true, __ATOMIC_RELAXED); }
bool file_fds_changed() { return g.changed; }

void need_file_fd(int real_fd) {
  const int bit = real_fd - g.file_base;
  g.needed[bit / 64] |= uint64_t{1} << (bit % 64);
}

void close_unneeded_file_fds() {
  for (int word = 0; word < kWords; ++word) {
    for (uint64_t bits = g.open[word] & ~g.needed[word]; bits != 0; bits &= bits - 1) {
      close_now(g.file_base + word * 64 + __builtin_ctzll(bits));
    }
    g.open[word] &= g.needed[word];
    g.needed[word] = 0;
  }
  g.changed = false;
}

uint64_t server_fd_limit() { return g.server_limit; }

}  // namespace evenkeel::kernel
