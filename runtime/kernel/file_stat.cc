// What files are: stat() and its kin, statfs(), access(), readlink().
#include <fcntl.h>
#include <limits.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/memo.h"
#include "runtime/kernel/passed.h"

namespace evenkeel::kernel {
namespace {

// Where a call looks: a path below a directory, or (empty path, AT_EMPTY_PATH) a descriptor.
struct Place {
  int directory;
  const char* path;
  int flags;
};

bool names_descriptor(const Place& place) {
  const bool empty = place.path == nullptr || place.path[0] == '\0';
  return empty && (place.flags & AT_EMPTY_PATH) != 0 && place.directory != AT_FDCWD;
}

void add_place(Arguments& arguments, const Place& place) {
  arguments.add(static_cast<uint64_t>(place.directory)).add(place.path);
  arguments.add(static_cast<uint64_t>(place.flags));
}

// Objects without a real descriptor look as Linux shows them; their inode numbers follow from their
// descriptors.
constexpr unsigned kAnonymousMinor = 14;  // anon_inodefs, sockfs and pipefs have one each

uint32_t mode_of(ObjectType type) {
  switch (type) {
    case ObjectType::kConnection:
    case ObjectType::kListener:
    case ObjectType::kSocket:
    case ObjectType::kPair:
    case ObjectType::kSyslog:
      return S_IFSOCK | 0777;
    case ObjectType::kPipeRead:
    case ObjectType::kPipeWrite:
      return S_IFIFO | 0600;
    default:
      return 0600;  // eventfd, timerfd, epoll: no type, as Linux has it
  }
}

void describe_anonymous(int fd, const Object& object, struct stat& info) {
  info.st_dev = makedev(0, kAnonymousMinor);
  info.st_ino = static_cast<ino_t>(1'000'000 + fd);
  info.st_mode = mode_of(object.type);
  info.st_nlink = 1;
  info.st_uid = static_cast<uid_t>(sys::call(SYS_geteuid).value());
  info.st_gid = static_cast<gid_t>(sys::call(SYS_getegid).value());
  info.st_blksize = 4096;
}

long ask_stat(const Place& place, int real_directory, struct stat& info) {
  Arguments arguments;
  add_place(arguments, place);
  const MemoReply reply =
      memoise(wire::FileOp::kStat, arguments, sizeof info, [&](uint8_t* payload, uint32_t& bytes) {
        const auto result = sys::call(SYS_newfstatat, real_directory, sys::arg(place.path),
                                      sys::arg(payload), place.flags);
        bytes = sizeof(struct stat);
        return result.value();
      });
  if (reply.result < 0) return reply.result;
  std::memcpy(&info, reply.payload, sizeof info);
  show_pending_changes(info);
  return 0;
}

long stat_descriptor(int fd, struct stat& info) {
  const Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  if (object->type == ObjectType::kDevice) {
    return ask_stat({AT_FDCWD, device_path(*object), 0}, AT_FDCWD, info);
  }
  const long real_fd = real_fd_of(fd);
  if (real_fd >= 0) return ask_stat({fd, "", AT_EMPTY_PATH}, static_cast<int>(real_fd), info);
  describe_anonymous(fd, *object, info);
  return 0;
}

long stat_place(const Place& place, struct stat& info) {
  if (names_descriptor(place)) return stat_descriptor(place.directory, info);
  if (place.path == nullptr) return -EFAULT;
  const long directory = place.path[0] == '/' ? AT_FDCWD : real_directory_of(place.directory);
  if (directory < 0 && directory != AT_FDCWD) return directory;
  return ask_stat(place, static_cast<int>(directory), info);
}

long answer_stat(const Place& place, struct stat* out) {
  struct stat info {};
  const long result = stat_place(place, info);
  if (result == 0) std::memcpy(out, &info, sizeof info);
  return result;
}

// ---- statx

void from_stat(const struct stat& info, struct statx& out) {
  out.stx_mask = STATX_BASIC_STATS;
  out.stx_blksize = static_cast<uint32_t>(info.st_blksize);
  out.stx_nlink = static_cast<uint32_t>(info.st_nlink);
  out.stx_uid = info.st_uid;
  out.stx_gid = info.st_gid;
  out.stx_mode = static_cast<uint16_t>(info.st_mode);
  out.stx_ino = info.st_ino;
  out.stx_size = static_cast<uint64_t>(info.st_size);
  out.stx_blocks = static_cast<uint64_t>(info.st_blocks);
  out.stx_dev_major = major(info.st_dev);
  out.stx_dev_minor = minor(info.st_dev);
}

void show_pending_changes(struct statx& out) {
  struct stat info {};
  info.st_mode = out.stx_mode;
  info.st_dev = makedev(out.stx_dev_major, out.stx_dev_minor);
  info.st_ino = out.stx_ino;
  info.st_size = static_cast<off_t>(out.stx_size);
  info.st_blocks = static_cast<blkcnt_t>(out.stx_blocks);
  info.st_mtim = {out.stx_mtime.tv_sec, out.stx_mtime.tv_nsec};
  info.st_ctim = {out.stx_ctime.tv_sec, out.stx_ctime.tv_nsec};
  kernel::show_pending_changes(info);
  out.stx_size = static_cast<uint64_t>(info.st_size);
  out.stx_blocks = static_cast<uint64_t>(info.st_blocks);
  out.stx_mtime.tv_sec = info.st_mtim.tv_sec;
  out.stx_mtime.tv_nsec = static_cast<uint32_t>(info.st_mtim.tv_nsec);
  out.stx_ctime.tv_sec = info.st_ctim.tv_sec;
  out.stx_ctime.tv_nsec = static_cast<uint32_t>(info.st_ctim.tv_nsec);
}

long ask_statx(const Place& place, int real_directory, uint32_t mask, struct statx* out) {
  Arguments arguments;
  add_place(arguments, place);
  arguments.add(mask);
  const MemoReply reply =
      memoise(wire::FileOp::kStatx, arguments, sizeof *out, [&](uint8_t* payload, uint32_t& bytes) {
        bytes = sizeof(struct statx);
        return sys::call(SYS_statx, real_directory, sys::arg(place.path), place.flags, mask,
                         sys::arg(payload))
            .value();
      });
  if (reply.result < 0) return reply.result;
  struct statx info;
  std::memcpy(&info, reply.payload, sizeof info);
  show_pending_changes(info);
  std::memcpy(out, &info, sizeof info);
  return 0;
}

long statx_descriptor(const Place& place, uint32_t mask, struct statx* out) {
  const long real_fd = real_fd_of(place.directory);
  if (real_fd >= 0) return ask_statx(place, static_cast<int>(real_fd), mask, out);
  struct stat info {};
  const long result = stat_descriptor(place.directory, info);
  if (result < 0) return result;
  struct statx converted {};
  from_stat(info, converted);
  std::memcpy(out, &converted, sizeof converted);
  return 0;
}

// ---- access, readlink, statfs

long answer_access(const Place& place, int mode, long number) {
  if (place.path == nullptr) return -EFAULT;
  const long directory = place.path[0] == '/' ? AT_FDCWD : real_directory_of(place.directory);
  if (directory < 0 && directory != AT_FDCWD) return directory;
  Arguments arguments;
  add_place(arguments, place);
  arguments.add(static_cast<uint64_t>(mode));
  return memoise(
             wire::FileOp::kAccess, arguments, 0,
             [&](uint8_t*, uint32_t&) {
               return sys::call(number, directory, sys::arg(place.path), mode, place.flags).value();
             })
      .result;
}

long answer_readlink(const Place& place, char* out, uint64_t room) {
  if (place.path == nullptr) return -EFAULT;
  if (static_cast<int64_t>(room) <= 0) return -EINVAL;
  const long directory = place.path[0] == '/' ? AT_FDCWD : real_directory_of(place.directory);
  if (directory < 0 && directory != AT_FDCWD) return directory;
  const auto asked = static_cast<uint32_t>(std::min<uint64_t>(room, PATH_MAX));
  Arguments arguments;
  add_place(arguments, place);
  arguments.add(asked);
  const MemoReply reply =
      memoise(wire::FileOp::kReadlink, arguments, asked, [&](uint8_t* payload, uint32_t& bytes) {
        const auto result =
            sys::call(SYS_readlinkat, directory, sys::arg(place.path), sys::arg(payload), asked);
        bytes = result.ok() ? static_cast<uint32_t>(result.value()) : 0;
        return result.value();
      });
  if (reply.result > 0) std::memcpy(out, reply.payload, reply.payload_bytes);
  return reply.result;
}

template <typename Ask>
long answer_statfs(const Arguments& arguments, struct statfs* out, Ask ask) {
  const MemoReply reply = memoise(wire::FileOp::kStatfs, arguments, sizeof *out,
                                  [&](uint8_t* payload, uint32_t& bytes) {
                                    bytes = sizeof(struct statfs);
                                    return ask(payload);
                                  });
  if (reply.result == 0) std::memcpy(out, reply.payload, sizeof *out);
  return reply.result;
}

}  // namespace

long sys_stat(const Call& call) {
  return answer_stat({AT_FDCWD, call.pointer<const char>(0), 0}, call.pointer<struct stat>(1));
}

long sys_lstat(const Call& call) {
  return answer_stat({AT_FDCWD, call.pointer<const char>(0), AT_SYMLINK_NOFOLLOW},
                     call.pointer<struct stat>(1));
}

long sys_fstat(const Call& call) {
  return answer_stat({call.integer(0), "", AT_EMPTY_PATH}, call.pointer<struct stat>(1));
}

long sys_newfstatat(const Call& call) {
  return answer_stat({call.integer(0), call.pointer<const char>(1), call.integer(3)},
                     call.pointer<struct stat>(2));
}

long sys_statx(const Call& call) {
  const Place place{call.integer(0), call.pointer<const char>(1), call.integer(2)};
  auto* out = call.pointer<struct statx>(4);
  if (names_descriptor(place)) {
    if (object_of(place.directory) == nullptr) return -EBADF;
    return statx_descriptor({place.directory, "", place.flags}, call.word(3), out);
  }
  if (place.path == nullptr) return -EFAULT;
  const long directory = place.path[0] == '/' ? AT_FDCWD : real_directory_of(place.directory);
  if (directory < 0 && directory != AT_FDCWD) return directory;
  return ask_statx(place, static_cast<int>(directory), call.word(3), out);
}

long sys_access(const Call& call) {
  return answer_access({AT_FDCWD, call.pointer<const char>(0), 0}, call.integer(1), SYS_faccessat);
}

long sys_faccessat(const Call& call) {
  return answer_access({call.integer(0), call.pointer<const char>(1), 0}, call.integer(2),
                       SYS_faccessat);
}

long sys_faccessat2(const Call& call) {
  return answer_access({call.integer(0), call.pointer<const char>(1), call.integer(3)},
                       call.integer(2), SYS_faccessat2);
}

long sys_readlink(const Call& call) {
  return answer_readlink({AT_FDCWD, call.pointer<const char>(0), 0}, call.pointer<char>(1),
                         call.args[2]);
}

long sys_readlinkat(const Call& call) {
  return answer_readlink({call.integer(0), call.pointer<const char>(1), 0}, call.pointer<char>(2),
                         call.args[3]);
}

long sys_statfs(const Call& call) {
  const char* path = call.pointer<const char>(0);
  if (path == nullptr) return -EFAULT;
  return answer_statfs(Arguments().add(path), call.pointer<struct statfs>(1), [&](uint8_t* out) {
    return sys::call(SYS_statfs, sys::arg(path), sys::arg(out)).value();
  });
}

long sys_fstatfs(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  const long real_fd = real_fd_of(call.integer(0));
  if (real_fd < 0) return -ENOSYS;
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(real_fd));
  return answer_statfs(arguments, call.pointer<struct statfs>(1), [&](uint8_t* out) {
    return sys::call(SYS_fstatfs, real_fd, sys::arg(out)).value();
  });
}

// Extended attributes of a path are read for real; nobody can change them here.
long sys_getxattr(const Call& call) {
  prepare_kernel_write(call.pointer<void>(2), call.args[3]);
  return pass_through(call);
}
long sys_lgetxattr(const Call& call) { return sys_getxattr(call); }

long sys_listxattr(const Call& call) {
  prepare_kernel_write(call.pointer<void>(1), call.args[2]);
  return pass_through(call);
}
long sys_llistxattr(const Call& call) { return sys_listxattr(call); }

}  // namespace evenkeel::kernel
