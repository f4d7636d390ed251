#include "runtime/kernel/file.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/generated_file.h"
#include "runtime/kernel/inode.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/passed.h"
#include "runtime/kernel/real_fd.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;

File& as_file(Object& object) { return reinterpret_cast<File&>(object); }

uint32_t readiness(const Object&) { return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM; }

void link(File& file) {
  FileTable& table = file_table();
  file.next = table.files;
  if (file.next != nullptr) file.next->previous = &file;
  table.files = &file;
}

void unlink(File& file) {
  (file.previous != nullptr ? file.previous->next : file_table().files) = file.next;
  if (file.next != nullptr) file.next->previous = file.previous;
}

long read_file(Object& object, const Buffers& out, uint32_t) {
  File& file = as_file(object);
  const long count = read_at(file, out, file.offset);
  if (count > 0) file.offset += static_cast<uint64_t>(count);
  return count;
}

long write_file(Object& object, const Buffers& in) {
  File& file = as_file(object);
  if ((object.flags & O_APPEND) != 0) {
    const long size = file_size(file);
    if (size < 0) return size;
    file.offset = static_cast<uint64_t>(size);
  }
  const long count = write_at(file, in, file.offset);
  if (count > 0) file.offset += static_cast<uint64_t>(count);
  return count;
}

// The real descriptor stays open until the batch commits: a rollback brings the File back.
void close_file(Object& object) {
  File& file = as_file(object);
  unlink(file);
  if (file.inode != nullptr) release_inode(*file.inode);
  note_file_fd_released();
  arena::destroy(&file);
}

constexpr ObjectOps kFileOps{readiness, read_file, write_file, close_file};
constexpr ObjectOps kPassedOps{passed_readiness, read_passed, write_passed, close_file};

File* make_file(ObjectType type, const ObjectOps& ops, int real_fd, uint32_t open_flags,
                uint32_t mode) {
  constexpr uint32_t kCreation = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
  constexpr uint32_t kLargeFile = 0100000;  // O_LARGEFILE, which fcntl(F_GETFL) shows
  File* file = arena::create<File>();
  init_object(file->object, type, ops, (open_flags & ~kCreation) | kLargeFile);
  file->real_fd = real_fd;
  file->open_flags = open_flags;
  file->mode = mode;
  link(*file);
  return file;
}

long read_real(File& file, const Buffers& out, uint64_t offset) {
  for (uint32_t i = 0; i < out.count; ++i) {
    prepare_kernel_write(out.vectors[i].iov_base, out.vectors[i].iov_len);
  }
  return sys::call(SYS_preadv, file.real_fd, sys::arg(out.vectors), out.count,
                   static_cast<long>(offset), 0)
      .value();
}

// [offset, offset + bytes) of the real file; what it does not have (it was cut by another process)
// reads as zero.
long read_real_or_zero(int fd, uint8_t* to, uint64_t bytes, uint64_t offset) {
  prepare_kernel_write(to, bytes);
  uint64_t done = 0;
  while (done < bytes) {
    const auto got = sys::call(SYS_pread64, fd, sys::arg(to + done),
                               static_cast<long>(bytes - done), static_cast<long>(offset + done));
    if (!got.ok()) return got.value();
    if (got.value() == 0) break;
    done += static_cast<uint64_t>(got.value());
  }
  std::memset(to + done, 0, bytes - done);
  return 0;
}

// One piece of a read through the overlay; [offset, offset + bytes) lies within the file.
long read_piece(File& file, uint8_t* to, uint64_t bytes, uint64_t offset) {
  const Overlay& overlay = file.inode->overlay;
  const uint64_t visible = overlay.real_visible();
  const uint64_t real = offset < visible ? std::min(bytes, visible - offset) : 0;
  if (real != 0) {
    const long error = read_real_or_zero(file.real_fd, to, real, offset);
    if (error < 0) return error;
  }
  std::memset(to + real, 0, bytes - real);
  overlay.for_each(offset, bytes, [&](uint64_t at, const uint8_t* data, uint64_t count) {
    std::memcpy(to + (at - offset), data, count);
  });
  return 0;
}

long read_overlaid(File& file, const Buffers& out, uint64_t offset) {
  const uint64_t size = file.inode->overlay.size();
  uint64_t done = 0;
  for (uint32_t i = 0; i < out.count && offset + done < size; ++i) {
    const uint64_t piece = std::min<uint64_t>(out.vectors[i].iov_len, size - offset - done);
    auto* to = static_cast<uint8_t*>(out.vectors[i].iov_base);
    const long error = read_piece(file, to, piece, offset + done);
    if (error < 0) return done != 0 ? static_cast<long>(done) : error;
    done += piece;
  }
  return static_cast<long>(done);
}

// All of it, flushing a full overlay as often as it takes. Returns how much, or -errno if nothing.
long write_piece(Inode& inode, const void* data, uint64_t bytes, uint64_t offset) {
  uint64_t done = 0;
  while (done < bytes) {
    done +=
        inode.overlay.write(offset + done, static_cast<const uint8_t*>(data) + done, bytes - done);
    if (done == bytes) break;
    const long error = flush_pending(inode);
    if (error < 0) return done != 0 ? static_cast<long>(done) : error;
  }
  return static_cast<long>(done);
}

}  // namespace

File* create_file(const struct stat& info, int real_fd, uint32_t open_flags) {
  File* file = make_file(ObjectType::kFile, kFileOps, real_fd, open_flags, info.st_mode);
  if (!S_ISREG(info.st_mode) || (open_flags & O_PATH) != 0) return file;
  Inode& inode = get_inode(info.st_dev, info.st_ino);
  file->inode = &inode;
  file->object.order = &inode.version;
  if ((open_flags & O_ACCMODE) != O_RDONLY) inode.writer_fd = real_fd;
  return file;
}

File* create_passed(int real_fd, uint32_t open_flags, uint32_t mode) {
  return make_file(ObjectType::kPassed, kPassedOps, real_fd, open_flags, mode);
}

File* create_generated(int real_fd, uint32_t open_flags, uint32_t mode) {
  return make_file(ObjectType::kFile, kFileOps, real_fd, open_flags, mode);
}

File* file_of(int fd) { return object_as<File>(fd, ObjectType::kFile); }

long real_fd_of(int fd) {
  const Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  switch (object->type) {
    case ObjectType::kFile:
    case ObjectType::kPassed:
      return reinterpret_cast<const File*>(object)->real_fd;
    case ObjectType::kStdio:
      return stdio_fd(*object);
    default:
      return -EBADF;
  }
}

long real_directory_of(int fd) {
  if (fd == AT_FDCWD) return fd;
  if (object_of(fd) == nullptr) return -EBADF;
  const File* file = file_of(fd);
  return file != nullptr ? file->real_fd : -ENOTDIR;
}

long check_readable(const File& file) {
  if ((file.open_flags & O_PATH) != 0) return -EBADF;
  if ((file.open_flags & O_ACCMODE) == O_WRONLY) return -EBADF;
  if (S_ISDIR(file.mode)) return -EISDIR;
  return 0;
}

long check_writable(const File& file) {
  if ((file.open_flags & O_PATH) != 0) return -EBADF;
  if ((file.open_flags & O_ACCMODE) == O_RDONLY) return -EBADF;
  return file.inode != nullptr ? 0 : -EINVAL;
}

long read_at(File& file, const Buffers& out, uint64_t offset) {
  const long refused = check_readable(file);
  if (refused < 0) return refused;
  if (offset > static_cast<uint64_t>(INT64_MAX)) return -EINVAL;
  if (file.inode == nullptr) return read_generated(file, out, offset);
  return has_pending(*file.inode) ? read_overlaid(file, out, offset) : read_real(file, out, offset);
}

long write_at(File& file, const Buffers& in, uint64_t offset) {
  const long refused = check_writable(file);
  if (refused < 0) return refused;
  if (offset + in.total() > static_cast<uint64_t>(INT64_MAX)) return -EFBIG;
  if (in.total() == 0) return 0;
  Inode& inode = *file.inode;
  const long error = begin_changes(inode, file.real_fd);
  if (error < 0) return error;
  uint64_t done = 0;
  for (uint32_t i = 0; i < in.count; ++i) {
    const iovec& v = in.vectors[i];
    const long count = write_piece(inode, v.iov_base, v.iov_len, offset + done);
    if (count < 0) return done != 0 ? static_cast<long>(done) : count;
    done += static_cast<uint64_t>(count);
    if (static_cast<size_t>(count) != v.iov_len) break;
  }
  if ((file.open_flags & O_DSYNC) != 0) inode.sync = true;  // O_SYNC contains O_DSYNC's bit
  return static_cast<long>(done);
}

long resize_file(File& file, uint64_t size, bool only_grow) {
  const long refused = check_writable(file);
  if (refused < 0) return refused;
  Inode& inode = *file.inode;
  const long error = begin_changes(inode, file.real_fd);
  if (error < 0) return error;
  if (!only_grow || size > inode.overlay.size()) inode.overlay.truncate(size);
  return 0;
}

long file_size(File& file) {
  if (file.inode != nullptr && file.inode->epoch == current_epoch()) {
    return static_cast<long>(file.inode->overlay.size());
  }
  return ask_size(file.real_fd);
}

void show_pending_changes(struct stat& info) {
  if (!S_ISREG(info.st_mode)) return;
  Inode* inode = nullptr;
  {
    OrderedGuard guard(file_table().version, Tag::kTable);
    inode = find_inode(info.st_dev, info.st_ino);
  }
  if (inode == nullptr) return;
  OrderedGuard guard(inode->version, Tag::kObject);
  if (has_pending(*inode)) {
    constexpr uint64_t kSecond_ns = 1'000'000'000;
    const uint64_t now = sched::batch_time().realtime_ns;
    info.st_size = static_cast<off_t>(inode->overlay.size());
    info.st_blocks = (info.st_size + 511) / 512;
    info.st_mtim = {static_cast<time_t>(now / kSecond_ns), static_cast<long>(now % kSecond_ns)};
    info.st_ctim = info.st_mtim;
  }
  release_inode(*inode);
}

}  // namespace evenkeel::kernel
