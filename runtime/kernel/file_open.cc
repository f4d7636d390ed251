// open() and its kin.
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/generated_file.h"
#include "runtime/kernel/inode.h"
#include "runtime/kernel/memo.h"
#include "runtime/kernel/real_fd.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;

struct Request {
  int directory;
  const char* path;
  uint32_t flags;
  uint32_t mode;
};
struct Opened {  // payload of the answer
  int32_t real_fd;
  uint32_t mode;
  uint32_t generated;  // 1: read by the primary for all
  uint32_t reserved;
  uint64_t device;
  uint64_t inode;
};

// Truncating and appending are done by the overlay, syncing at commit; a FIFO must not block.
int real_flags(const Request& request) {
  constexpr uint32_t kOurs = O_TRUNC | O_APPEND | O_SYNC | O_ASYNC;
  return static_cast<int>((request.flags & ~kOurs) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

long refuse_special(int fd, const char* what) {
  sys::close(fd).ignore();
  count_unhandled(what);
  return -ENXIO;
}

// At the primary.
long open_really(const Request& request, int real_directory, Opened& opened) {
  const auto fd = sys::call(SYS_openat, real_directory, sys::arg(request.path), real_flags(request),
                            request.mode);
  if (!fd.ok()) return fd.value();
  struct stat info;
  const auto looked = sys::call(SYS_fstat, fd.value(), sys::arg(&info));
  const int number = static_cast<int>(fd.value());
  if (!looked.ok()) return refuse_special(number, "open of what cannot be looked at");
  if (S_ISFIFO(info.st_mode)) return refuse_special(number, "open of a FIFO");
  const long real_fd = adopt_file_fd(number);
  if (real_fd < 0) return real_fd;
  opened = {static_cast<int32_t>(real_fd), info.st_mode, 0, 0, info.st_dev, info.st_ino};
  if (is_generated(request.path, info.st_mode, request.flags, opened.real_fd)) opened.generated = 1;
  return 0;
}

bool is_open_here(const Opened& opened) {
  struct stat info;
  const auto looked = sys::call(SYS_fstat, opened.real_fd, sys::arg(&info));
  return looked.ok() && info.st_dev == opened.device && info.st_ino == opened.inode;
}

// The primary and whoever repeats a batch have it open already.
long open_here(const Request& request, int real_directory, const Opened& opened) {
  if (is_open_here(opened)) return 0;
  constexpr uint32_t kKept = O_ACCMODE | O_PATH | O_DIRECTORY | O_NOFOLLOW;
  const auto flags = static_cast<int>(request.flags & kKept);
  if (is_generated_path(request.path)) {  // what another process opens there is not the same thing
    const auto fd = sys::call(SYS_openat, real_directory, sys::arg(request.path), flags);
    return fd.ok() ? place_file_fd(static_cast<int>(fd.value()), opened.real_fd) : fd.value();
  }
  const int pid = deck().replicas[deck().command.primary].pid;
  const bool by_path = real_directory == AT_FDCWD || request.path[0] == '/';
  // A link itself (O_PATH | O_NOFOLLOW) cannot be reached through the primary's descriptor.
  return open_same_file(pid, opened.real_fd, flags & ~O_NOFOLLOW, by_path ? request.path : nullptr,
                        opened.device, opened.inode);
}

MemoReply ask_primary(const Request& request, int real_directory) {
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(request.directory)).add(request.path);
  arguments.add(request.flags).add(request.mode);
  return memoise(wire::FileOp::kOpen, arguments, sizeof(Opened),
                 [&](uint8_t* payload, uint32_t& bytes) {
                   Opened opened{};
                   const long result = open_really(request, real_directory, opened);
                   if (result < 0) return result;
                   std::memcpy(payload, &opened, sizeof opened);
                   bytes = sizeof opened;
                   return result;
                 });
}

File* make_file(const Request& request, const Opened& opened) {
  OrderedGuard guard(file_table().version, Tag::kTable);
  if (opened.generated != 0) return create_generated(opened.real_fd, request.flags, opened.mode);
  const bool has_content = S_ISREG(opened.mode) && !is_generated_path(request.path);
  if (!has_content && !S_ISDIR(opened.mode)) {
    return create_passed(opened.real_fd, request.flags, opened.mode);
  }
  struct stat info {};
  info.st_mode = opened.mode;
  info.st_dev = opened.device;
  info.st_ino = opened.inode;
  return create_file(info, opened.real_fd, request.flags);
}

long truncate_opened(File& file) {
  if ((file.open_flags & O_ACCMODE) == O_RDONLY) {  // POSIX: unspecified; Linux truncates
    count_unhandled("open O_RDONLY | O_TRUNC");
    return 0;
  }
  OrderedGuard guard(*file.object.order, Tag::kObject);
  return resize_file(file, 0, false);
}

long open_file(const Request& request) {
  const long directory = request.path[0] == '/' ? AT_FDCWD : real_directory_of(request.directory);
  if (directory < 0 && directory != AT_FDCWD) return directory;
  const MemoReply reply = ask_primary(request, static_cast<int>(directory));
  if (reply.result < 0) return reply.result;
  Opened opened;
  std::memcpy(&opened, reply.payload, sizeof opened);
  // Where it cannot be opened its use fails, but the server gets the same descriptor everywhere:
  // tables of replicas that differ would never agree again.
  if (open_here(request, static_cast<int>(directory), opened) < 0) {
    count_unhandled("file that only the primary can open");
  }
  File* file = make_file(request, opened);
  if (file->object.type == ObjectType::kPassed) count_unhandled("open of a special file");
  if ((request.flags & O_TRUNC) != 0 && file->inode != nullptr) {
    const long error = truncate_opened(*file);
    if (error < 0) {
      OrderedGuard guard(*file->object.order, Tag::kObject);
      release(file->object);
      return error;
    }
  }
  return install(file->object, (request.flags & O_CLOEXEC) != 0);
}

// Of a register that the caller did not have to set.
uint32_t creation_mode(uint32_t flags, uint32_t mode) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode & 07777 : 0;
}

long open_request(const Request& request) {
  if ((request.flags & O_TMPFILE) == O_TMPFILE) {
    count_unhandled("open O_TMPFILE");
    return -EOPNOTSUPP;
  }
  if ((request.flags & O_DIRECT) != 0) {
    count_unhandled("open O_DIRECT");
    return -EINVAL;
  }
  if (request.path == nullptr) return -EFAULT;
  // The server's threads are not the kernel's: what has such a number there is somebody else.
  if (has_prefix(request.path, "/proc/self/task/")) return -ENOENT;
  const DeviceKind kind = find_device(request.path);
  if (kind == DeviceKind::kNone) {
    char room[kOwnPathBytes];
    return open_file(
        {request.directory, own_proc_path(request.path, room), request.flags, request.mode});
  }
  Object* device = nullptr;
  {
    sched::Guard guard;
    device = create_device(kind, request.flags);
  }
  return install(*device, (request.flags & O_CLOEXEC) != 0);
}

}  // namespace

long sys_open(const Call& call) {
  return open_request({AT_FDCWD, call.pointer<const char>(0), call.word(1),
                       creation_mode(call.word(1), call.word(2))});
}

long sys_openat(const Call& call) {
  return open_request({call.integer(0), call.pointer<const char>(1), call.word(2),
                       creation_mode(call.word(2), call.word(3))});
}

long sys_creat(const Call& call) {
  return open_request(
      {AT_FDCWD, call.pointer<const char>(0), O_CREAT | O_WRONLY | O_TRUNC, call.word(1)});
}

}  // namespace evenkeel::kernel
