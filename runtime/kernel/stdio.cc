#include "runtime/kernel/stdio.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/output.h"
#include "runtime/kernel/passed.h"
#include "runtime/kernel/real_fd.h"

namespace evenkeel::kernel {
namespace {

struct Stdio {
  Object object;
  OutputChain chain;
  int fd;
  uint32_t reserved;
};

uint32_t readiness(const Object&) { return EPOLLOUT | EPOLLWRNORM; }

long write_stdio(Object& object, const Buffers& in) {
  auto& stdio = reinterpret_cast<Stdio&>(object);
  const uint64_t bytes =
      std::min({uint64_t{in.total()}, output_room(), uint64_t{wire::kInputBytes}});
  // A full output area (1 GiB in one batch) is answered like a full disk: nobody would wake us.
  if (bytes == 0 && in.total() != 0) return -ENOSPC;
  if (bytes == 0) return 0;
  emit(stdio.chain, wire::OutputKind::kStdio, static_cast<uint64_t>(stdio.fd), in,
       static_cast<uint32_t>(bytes));
  return static_cast<long>(bytes);
}

void close_stdio(Object& object) { arena::destroy(&reinterpret_cast<Stdio&>(object)); }

constexpr ObjectOps kOps{readiness, nullptr, write_stdio, close_stdio};

Object* create_stdio(int fd) {
  Stdio* stdio = arena::create<Stdio>();
  // Not O_APPEND or O_NONBLOCK, whatever the real one has: neither means anything to a channel.
  init_object(stdio->object, ObjectType::kStdio, kOps, O_WRONLY);
  stdio->fd = fd;
  return &stdio->object;
}

// The file gets a second descriptor in the files' range; the inherited one stays, unused.
Object* create_inherited_file(int fd, const struct stat& info, uint32_t flags) {
  const auto copy = sys::call(SYS_dup, fd);
  const long real_fd = copy.ok() ? adopt_file_fd(static_cast<int>(copy.value())) : copy.value();
  if (real_fd < 0) return &create_passed(fd, flags, info.st_mode)->object;
  File* file = create_file(info, static_cast<int>(real_fd), flags);
  const auto position = sys::call(SYS_lseek, fd, 0, SEEK_CUR);
  if (position.ok()) file->offset = static_cast<uint64_t>(position.value());
  return &file->object;
}

Object* create_inherited(int fd, uint32_t flags) {
  struct stat info;
  const auto looked = sys::call(SYS_fstat, fd, sys::arg(&info));
  // Taking it for closed would give its number to something else, in this replica only.
  if (!looked.ok()) EVENKEEL_DIE("cannot look at an inherited descriptor", "errno", looked.err());
  if (fd == 1 || fd == 2) return create_stdio(fd);
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
    return create_inherited_file(fd, info, flags);
  }
  const DeviceKind kind =
      S_ISCHR(info.st_mode) ? find_device(uint64_t{info.st_rdev}) : DeviceKind::kNone;
  if (kind != DeviceKind::kNone) return create_device(kind, flags);
  return &create_passed(fd, flags, info.st_mode)->object;
}

}  // namespace

int stdio_fd(const Object& object) { return reinterpret_cast<const Stdio&>(object).fd; }

void init_stdio() {
  init_real_fds();
  init_files();
  // An unlimited limit is cut at kMaxFds.
  set_fd_limit(static_cast<uint32_t>(std::min<uint64_t>(server_fd_limit(), UINT32_MAX)));
  const int end = std::min(runtime_fd_base(), kMaxFds);
  for (int fd = 0; fd < end; ++fd) {
    const auto flags = sys::call(SYS_fcntl, fd, F_GETFL);
    if (!flags.ok()) continue;
    Object* object = create_inherited(fd, static_cast<uint32_t>(flags.value()));
    if (object == nullptr) continue;
    preinstall(fd, *object);
    const auto descriptor = sys::call(SYS_fcntl, fd, F_GETFD);
    set_close_on_exec(fd, descriptor.ok() && (descriptor.value() & FD_CLOEXEC) != 0);
  }
}

}  // namespace evenkeel::kernel
