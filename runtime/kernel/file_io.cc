// Calls on open files that read(2) and write(2) do not cover: positions, sizes, directories.
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/inode.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/memo.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;

bool has_position(const Object& object) {
  return object.type == ObjectType::kFile || object.type == ObjectType::kDevice;
}

long pass_positioned(const Call& call, const Buffers& buffers, bool reads) {
  Call real = call;
  real.args[0] = static_cast<uint64_t>(real_fd_of(call.integer(0)));
  for (uint32_t i = 0; reads && i < buffers.count; ++i) {
    prepare_kernel_write(buffers.vectors[i].iov_base, buffers.vectors[i].iov_len);
  }
  return pass_through(real);
}

long read_positioned(const Call& call, const Buffers& out, int64_t offset) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  if (offset < 0) return -EINVAL;
  if (object->type == ObjectType::kPassed) return pass_positioned(call, out, true);
  if (!has_position(*object)) return -ESPIPE;
  OrderedGuard guard(*object->order, Tag::kObject);
  if (object->type == ObjectType::kDevice) return object->ops->read(*object, out, 0);
  return read_at(reinterpret_cast<File&>(*object), out, static_cast<uint64_t>(offset));
}

long write_positioned(const Call& call, const Buffers& in, int64_t offset) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  if (offset < 0) return -EINVAL;
  if (object->type == ObjectType::kPassed) return pass_positioned(call, in, false);
  if (!has_position(*object)) return -ESPIPE;
  OrderedGuard guard(*object->order, Tag::kObject);
  if (object->type == ObjectType::kDevice) return object->ops->write(*object, in);
  auto& file = reinterpret_cast<File&>(*object);
  auto position = static_cast<uint64_t>(offset);
  if ((object->flags & O_APPEND) != 0) {  // as Linux does, against POSIX: pwrite(2), BUGS
    const long size = file_size(file);
    if (size < 0) return size;
    position = static_cast<uint64_t>(size);
  }
  return write_at(file, in, position);
}

bool valid_vector(const Call& call, Buffers& buffers) {
  if (call.args[2] > IOV_MAX) return false;
  buffers = {call.pointer<const iovec>(1), call.word(2)};
  return buffers.total() <= static_cast<size_t>(SSIZE_MAX);
}

// ---- lseek

long seek_target(File& file, int64_t offset, int whence) {
  const auto checked = [](int64_t base, int64_t add) {
    int64_t sum;
    if (__builtin_add_overflow(base, add, &sum)) return long{-EOVERFLOW};
    return sum < 0 ? long{-EINVAL} : long{sum};
  };
  switch (whence) {
    case SEEK_SET:
      return checked(0, offset);
    case SEEK_CUR:
      return checked(static_cast<int64_t>(file.offset), offset);
    case SEEK_END:
    case SEEK_DATA:
    case SEEK_HOLE:
      break;
    default:
      return -EINVAL;
  }
  const long size = file_size(file);
  if (size < 0) return size;
  if (whence == SEEK_END) return checked(size, offset);
  // A file without holes, as file systems may say that do not track them.
  if (offset < 0 || offset >= size) return -ENXIO;
  return whence == SEEK_DATA ? offset : size;
}

// ---- directories

// glibc asks for 32 KiB at a time; in pieces, since answers share the deck.
constexpr uint32_t kDirectoryBytes = 8192;

struct DirectoryEntry {  // linux_dirent64, getdents64(2)
  uint64_t inode;
  int64_t next_offset;
  uint16_t bytes;
  uint8_t type;
};

void advance(File& directory, const uint8_t* entries, long bytes) {
  for (long at = 0; at < bytes;) {
    DirectoryEntry entry;
    std::memcpy(&entry, entries + at, sizeof entry);
    directory.offset = static_cast<uint64_t>(entry.next_offset);
    at += entry.bytes;
  }
}

long read_directory(File& directory, uint8_t* out, uint64_t room) {
  const auto asked = static_cast<uint32_t>(std::min<uint64_t>(room, kDirectoryBytes));
  const int fd = directory.real_fd;
  const auto position = static_cast<long>(directory.offset);
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(fd)).add(directory.offset).add(asked);
  const MemoReply reply =
      memoise(wire::FileOp::kDirectory, arguments, asked, [&](uint8_t* payload, uint32_t& bytes) {
        const auto sought = sys::call(SYS_lseek, fd, position, SEEK_SET);
        if (!sought.ok()) return sought.value();
        const auto got = sys::call(SYS_getdents64, fd, sys::arg(payload), asked);
        bytes = got.ok() ? static_cast<uint32_t>(got.value()) : 0;
        return got.value();
      });
  if (reply.result <= 0) return reply.result;
  std::memcpy(out, reply.payload, reply.payload_bytes);
  advance(directory, reply.payload, reply.result);
  return reply.result;
}

// ---- allocation

long allocate(File& file, int mode, uint64_t end) {
  constexpr int kKeepSize = FALLOC_FL_KEEP_SIZE;
  if ((mode & ~kKeepSize) != 0) {
    count_unhandled("fallocate that punches or moves");
    return -EOPNOTSUPP;
  }
  // Space is not reserved: the promise "a later write cannot fail for want of space" is not kept.
  if (mode == kKeepSize) return check_writable(file);
  return resize_file(file, end, true);
}

long sync_file(int fd) {
  if (object_of(fd) == nullptr) return -EBADF;
  File* file = file_of(fd);
  if (file == nullptr) return -EINVAL;
  if (file->inode == nullptr || check_writable(*file) < 0) return 0;
  OrderedGuard guard(*file->object.order, Tag::kObject);
  const long error = begin_changes(*file->inode, file->real_fd);
  if (error == 0) file->inode->sync = true;
  return error;
}

}  // namespace

long sys_pread64(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  return read_positioned(call, {&vector, 1}, static_cast<int64_t>(call.args[3]));
}

long sys_pwrite64(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  return write_positioned(call, {&vector, 1}, static_cast<int64_t>(call.args[3]));
}

long sys_preadv(const Call& call) {
  Buffers out{};
  if (!valid_vector(call, out)) return -EINVAL;
  return read_positioned(call, out, static_cast<int64_t>(call.args[3]));
}

long sys_pwritev(const Call& call) {
  Buffers in{};
  if (!valid_vector(call, in)) return -EINVAL;
  return write_positioned(call, in, static_cast<int64_t>(call.args[3]));
}

// Offset -1 is the description's own. Flags ask for what we cannot promise (RWF_NOWAIT...), or for
// what a commit does later anyway (RWF_SYNC, RWF_HIPRI); callers have to cope without.
long sys_preadv2(const Call& call) {
  if (call.args[5] != 0) return -EOPNOTSUPP;
  return static_cast<int64_t>(call.args[3]) == -1 ? sys_readv(call) : sys_preadv(call);
}

long sys_pwritev2(const Call& call) {
  if (call.args[5] != 0) return -EOPNOTSUPP;
  return static_cast<int64_t>(call.args[3]) == -1 ? sys_writev(call) : sys_pwritev(call);
}

long sys_lseek(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  if (object->type == ObjectType::kDevice) return 0;
  if (object->type == ObjectType::kPassed) {
    return sys::call(SYS_lseek, real_fd_of(call.integer(0)), static_cast<long>(call.args[1]),
                     static_cast<long>(call.args[2]))
        .value();
  }
  File* file = file_of(call.integer(0));
  if (file == nullptr) return -ESPIPE;
  if ((file->open_flags & O_PATH) != 0) return -EBADF;
  OrderedGuard guard(*object->order, Tag::kObject);
  const long target = seek_target(*file, static_cast<int64_t>(call.args[1]), call.integer(2));
  if (target >= 0) file->offset = static_cast<uint64_t>(target);
  return target;
}

long sys_getdents64(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  File* file = file_of(call.integer(0));
  if (file == nullptr || !S_ISDIR(file->mode)) return -ENOTDIR;
  if ((file->open_flags & O_PATH) != 0) return -EBADF;
  OrderedGuard guard(*file->object.order, Tag::kObject);
  return read_directory(*file, call.pointer<uint8_t>(1), call.args[2]);
}

long sys_ftruncate(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  File* file = file_of(call.integer(0));
  const auto size = static_cast<int64_t>(call.args[1]);
  if (file == nullptr || size < 0) return -EINVAL;
  OrderedGuard guard(*file->object.order, Tag::kObject);
  const long result = resize_file(*file, static_cast<uint64_t>(size), false);
  return result == -EBADF && (file->open_flags & O_PATH) == 0 ? -EINVAL : result;
}

long sys_truncate(const Call& call) {
  const long fd = kernel::call(SYS_open, call.args[0], O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const long result = kernel::call(SYS_ftruncate, fd, call.args[1]);
  close_fd(static_cast<int>(fd));
  return result;
}

long sys_fallocate(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  File* file = file_of(call.integer(0));
  if (file == nullptr) return -ENODEV;
  const auto offset = static_cast<int64_t>(call.args[2]);
  const auto bytes = static_cast<int64_t>(call.args[3]);
  int64_t end;
  if (offset < 0 || bytes <= 0) return -EINVAL;
  if (__builtin_add_overflow(offset, bytes, &end)) return -EFBIG;
  OrderedGuard guard(*file->object.order, Tag::kObject);
  return allocate(*file, call.integer(1), static_cast<uint64_t>(end));
}

long sys_fsync(const Call& call) { return sync_file(call.integer(0)); }
long sys_fdatasync(const Call& call) { return sync_file(call.integer(0)); }
long sys_sync_file_range(const Call& call) { return sync_file(call.integer(0)); }
long sys_syncfs(const Call& call) { return object_of(call.integer(0)) == nullptr ? -EBADF : 0; }
// Advice to a page cache that only the primary's commits write to.
long sys_fadvise64(const Call& call) { return object_of(call.integer(0)) == nullptr ? -EBADF : 0; }
long sys_readahead(const Call& call) { return object_of(call.integer(0)) == nullptr ? -EBADF : 0; }

}  // namespace evenkeel::kernel
