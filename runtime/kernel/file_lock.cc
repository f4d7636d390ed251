// Advisory locks: flock() and fcntl(). The primary alone takes them, because its followers are
// other processes; they die with it, so a successor does not hold them.
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/memo.h"

namespace evenkeel::kernel {
namespace {

// Waiting forms become trying ones.
int trying(int command) {
  return command == F_SETLKW ? F_SETLK : command == F_OFD_SETLKW ? F_OFD_SETLK : command;
}

}  // namespace

bool is_lock_command(int command) {
  switch (command) {
    case F_SETLK:
    case F_SETLKW:
    case F_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
    case F_OFD_GETLK:
      return true;
    default:
      return false;
  }
}

long lock_record(int fd, int command, struct flock* lock) {
  if (object_of(fd) == nullptr) return -EBADF;
  const File* file = file_of(fd);
  if (file == nullptr) return -EINVAL;
  struct flock asked = *lock;
  if (asked.l_whence == SEEK_CUR) {  // the real descriptor's offset is not ours
    asked.l_whence = SEEK_SET;
    asked.l_start += static_cast<off_t>(file->offset);
  }
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(file->real_fd)).add(static_cast<uint64_t>(command));
  arguments.add(static_cast<uint64_t>(asked.l_type)).add(static_cast<uint64_t>(asked.l_whence));
  arguments.add(static_cast<uint64_t>(asked.l_start)).add(static_cast<uint64_t>(asked.l_len));
  const int real_fd = file->real_fd;
  const MemoReply reply =
      memoise(wire::FileOp::kLock, arguments, sizeof asked, [&](uint8_t* payload, uint32_t& bytes) {
        const auto result = sys::call(SYS_fcntl, real_fd, trying(command), sys::arg(&asked));
        std::memcpy(payload, &asked, sizeof asked);
        bytes = sizeof asked;
        return result.value();
      });
  const bool asks = command == F_GETLK || command == F_OFD_GETLK;
  if (asks && reply.result == 0) std::memcpy(lock, reply.payload, sizeof *lock);
  const bool taken = reply.result == -EAGAIN || reply.result == -EACCES;
  if (!taken || trying(command) == command) return reply.result;
  count_unhandled("file lock that waits for another process");
  return -EDEADLK;
}

long sys_flock(const Call& call) {
  if (object_of(call.integer(0)) == nullptr) return -EBADF;
  const File* file = file_of(call.integer(0));
  if (file == nullptr) return -EINVAL;
  const int operation = call.integer(1);
  const int real_fd = file->real_fd;
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(real_fd)).add(static_cast<uint64_t>(operation));
  const MemoReply reply = memoise(wire::FileOp::kLock, arguments, 0, [&](uint8_t*, uint32_t&) {
    return sys::call(SYS_flock, real_fd, operation | LOCK_NB).value();
  });
  if (reply.result != -EWOULDBLOCK || (operation & LOCK_NB) != 0) return reply.result;
  count_unhandled("file lock that waits for another process");
  return -ENOLCK;
}

}  // namespace evenkeel::kernel
