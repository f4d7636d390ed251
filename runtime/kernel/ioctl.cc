#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "runtime/core/sys.h"
#include "runtime/kernel/connection.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/kernel_write.h"
#include "runtime/kernel/pipe.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;

// What a request writes through its argument is at most this: struct termios2, winsize...
constexpr size_t kArgumentBytes = 128;

// In the object's turn.
long bytes_to_read(Object& object) {
  switch (object.type) {
    case ObjectType::kConnection: {
      const auto& connection = reinterpret_cast<const Connection&>(object);
      return long{connection.queue.size} + connection.fresh_bytes;
    }
    case ObjectType::kPipeRead:
    case ObjectType::kPipeWrite:
    case ObjectType::kPair:
      return bytes_waiting(object);
    case ObjectType::kFile: {
      auto& file = reinterpret_cast<File&>(object);
      const long size = file_size(file);
      return size < 0 ? size : size - static_cast<long>(file.offset);
    }
    case ObjectType::kSyslog:
    case ObjectType::kSocket:
      return 0;
    default:
      return -ENOTTY;
  }
}

long tell_bytes_to_read(Object& object, int* out) {
  OrderedGuard guard(*object.order, Tag::kObject);
  const long bytes = bytes_to_read(object);
  if (bytes < 0 && object.type != ObjectType::kFile) return bytes;
  *out = static_cast<int>(std::clamp<long>(bytes, INT_MIN, INT_MAX));
  return 0;
}

long set_flag(Object& object, uint32_t flag, bool on) {
  sched::Guard guard;
  object.flags = on ? object.flags | flag : object.flags & ~flag;
  return 0;
}

// Terminals and special files stay real.
long pass_ioctl(const Call& call, long real_fd) {
  Call real = call;
  real.args[0] = static_cast<uint64_t>(real_fd);
  if ((call.word(1) & IOC_OUT) != 0 || call.word(1) >> 8 == 'T') {
    prepare_kernel_write(call.pointer<void>(2), kArgumentBytes);
  }
  return pass_through(real);
}

}  // namespace

long sys_ioctl(const Call& call) {
  const int fd = call.integer(0);
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  switch (call.word(1)) {
    case FIOCLEX:
      set_close_on_exec(fd, true);
      return 0;
    case FIONCLEX:
      set_close_on_exec(fd, false);
      return 0;
    case FIONBIO:
      return set_flag(*object, O_NONBLOCK, *call.pointer<const int>(2) != 0);
    case FIOASYNC:
      return set_flag(*object, O_ASYNC, *call.pointer<const int>(2) != 0);
    case FIONREAD:
      if (object->type == ObjectType::kPassed) break;
      return tell_bytes_to_read(*object, call.pointer<int>(2));
    default:
      break;
  }
  if (object->type == ObjectType::kPassed || object->type == ObjectType::kStdio) {
    return pass_ioctl(call, real_fd_of(fd));
  }
  if (call.word(1) != TCGETS && call.word(1) != TIOCGWINSZ) count_unhandled("ioctl request");
  return -ENOTTY;
}

}  // namespace evenkeel::kernel
