#include "runtime/kernel/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>

#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

constexpr uint32_t kMaxVectors = IOV_MAX;

// The part of the buffers after the first `skip` bytes, at most kTailVectors pieces of it: enough
// for one more attempt, after which the caller asks again.
constexpr uint32_t kTailVectors = 16;
struct Tail {
  iovec vectors[kTailVectors];
  Buffers buffers;

  Tail(const Buffers& all, size_t skip) : buffers{vectors, 0} {
    for (uint32_t i = 0; i < all.count && buffers.count < kTailVectors; ++i) {
      const iovec& v = all.vectors[i];
      if (skip >= v.iov_len) {
        skip -= v.iov_len;
        continue;
      }
      vectors[buffers.count++] = {static_cast<char*>(v.iov_base) + skip, v.iov_len - skip};
      skip = 0;
    }
  }
};

bool must_not_block(const Object& object, uint32_t message_flags) {
  return nonblocking(object) || (message_flags & MSG_DONTWAIT) != 0;
}

// Lock held; returns without it. The object stays alive while the thread waits in it.
Waited block_in(Object& object) {
  retain(object);
  const Waited waited = wait_on(key_of(object), sched::kNoDeadline, true);
  sched::Guard guard;
  release(object);
  return waited;
}

// One attempt, in this operation's turn. On -EAGAIN of a blocking object it has waited;
// `interrupted` tells how that ended.
template <typename Operation>
long attempt(Object& object, bool may_block, Operation operation, bool& interrupted) {
  sched::lock_ordered(*object.order, sched::Tag::kObject);
  const long result = operation();
  if (result != -EAGAIN || !may_block) {
    sched::unlock();
    return result;
  }
  interrupted = block_in(object) == Waited::kInterrupted;
  return result;
}

// Addresses that no process has mapped: Linux finds them when it copies, we would crash. Others
// that are not mapped are taken for a crash of the server's.
bool bad_pointers(const Buffers& buffers) {
  constexpr uint64_t kLowest = 64 << 10;         // vm.mmap_min_addr
  constexpr uint64_t kEnd = (1UL << 47) - 4096;  // TASK_SIZE without five-level page tables
  for (uint32_t i = 0; i < buffers.count; ++i) {
    const auto begin = reinterpret_cast<uint64_t>(buffers.vectors[i].iov_base);
    const size_t bytes = buffers.vectors[i].iov_len;
    if (bytes != 0 && (begin < kLowest || begin > kEnd || bytes > kEnd - begin)) return true;
  }
  return false;
}

void raise_broken_pipe(uint32_t message_flags) {
  if ((message_flags & MSG_NOSIGNAL) != 0) return;
  call(SYS_tgkill, call(SYS_getpid), call(SYS_gettid), SIGPIPE);
}

long read_call(const Call& call, const Buffers& out) {
  Object* object = object_of(call.integer(0));
  return object == nullptr ? -EBADF : read_object(*object, out, 0);
}
long write_call(const Call& call, const Buffers& in) {
  Object* object = object_of(call.integer(0));
  return object == nullptr ? -EBADF : write_object(*object, in, 0);
}

bool valid_vector(const Call& call, Buffers& out) {
  if (call.args[2] > kMaxVectors) return false;
  out = {call.pointer<const iovec>(1), call.word(2)};
  return out.total() <= static_cast<size_t>(SSIZE_MAX);
}

}  // namespace

long read_object(Object& object, const Buffers& out, uint32_t message_flags) {
  if (object.ops->read == nullptr) return -EINVAL;
  if ((object.flags & O_ACCMODE) == O_WRONLY) return -EBADF;
  if (bad_pointers(out)) return -EFAULT;
  const bool may_block = !must_not_block(object, message_flags);
  const bool all = (message_flags & MSG_WAITALL) != 0 && (message_flags & MSG_PEEK) == 0;
  const size_t wanted = out.total();
  size_t done = 0;
  for (;;) {
    const Tail rest(out, done);
    const Buffers& target = done == 0 ? out : rest.buffers;
    bool interrupted = false;
    const long result = attempt(
        object, may_block, [&] { return object.ops->read(object, target, message_flags); },
        interrupted);
    if (result > 0) done += static_cast<size_t>(result);
    if (result >= 0 && (!all || result == 0 || done == wanted)) return static_cast<long>(done);
    if (result >= 0) continue;
    if (result != -EAGAIN || !may_block) return done != 0 ? static_cast<long>(done) : result;
    if (interrupted) return done != 0 ? static_cast<long>(done) : -EINTR;
  }
}

long write_object(Object& object, const Buffers& in, uint32_t message_flags) {
  if (object.ops->write == nullptr) return -EINVAL;
  if ((object.flags & O_ACCMODE) == O_RDONLY) return -EBADF;
  if (bad_pointers(in)) return -EFAULT;
  const bool may_block = !must_not_block(object, message_flags);
  const size_t wanted = in.total();
  size_t done = 0;
  for (;;) {
    const Tail rest(in, done);
    const Buffers& source = done == 0 ? in : rest.buffers;
    bool interrupted = false;
    const long result = attempt(
        object, may_block, [&] { return object.ops->write(object, source); }, interrupted);
    if (result == -EPIPE) raise_broken_pipe(message_flags);
    if (result > 0) done += static_cast<size_t>(result);
    // A blocking write goes on until everything is written; any other returns what it got.
    if (result >= 0 && (!may_block || done == wanted || result == 0)) {
      return static_cast<long>(done);
    }
    if (result >= 0) continue;
    if (result != -EAGAIN || !may_block) return done != 0 ? static_cast<long>(done) : result;
    if (interrupted) return done != 0 ? static_cast<long>(done) : -EINTR;
  }
}

long sys_read(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  return read_call(call, {&vector, 1});
}

long sys_write(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  return write_call(call, {&vector, 1});
}

long sys_readv(const Call& call) {
  Buffers out{};
  return valid_vector(call, out) ? read_call(call, out) : -EINVAL;
}

long sys_writev(const Call& call) {
  Buffers in{};
  return valid_vector(call, in) ? write_call(call, in) : -EINVAL;
}

long sys_close(const Call& call) { return close_fd(call.integer(0)); }

long sys_close_range(const Call& call) {
  constexpr uint32_t kCloexecFlag = 4;  // CLOSE_RANGE_CLOEXEC
  const uint32_t last = call.word(1);
  if (call.word(0) > last) return -EINVAL;
  for (int fd = next_open_fd(call.integer(0)); fd >= 0 && static_cast<uint32_t>(fd) <= last;
       fd = next_open_fd(fd + 1)) {
    if ((call.word(2) & kCloexecFlag) != 0) {
      set_close_on_exec(fd, true);
    } else {
      close_fd(fd);
    }
  }
  return 0;
}

long sys_dup(const Call& call) { return duplicate(call.integer(0), 0, false); }
long sys_dup2(const Call& call) { return duplicate_to(call.integer(0), call.integer(1), false); }
long sys_dup3(const Call& call) {
  if (call.integer(0) == call.integer(1)) return -EINVAL;
  if ((call.integer(2) & ~O_CLOEXEC) != 0) return -EINVAL;
  return duplicate_to(call.integer(0), call.integer(1), (call.integer(2) & O_CLOEXEC) != 0);
}

long sys_fcntl(const Call& call) {
  constexpr uint32_t kChangeable = O_NONBLOCK | O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME;
  const int fd = call.integer(0);
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  switch (call.integer(1)) {
    case F_DUPFD:
      return duplicate(fd, call.integer(2), false);
    case F_DUPFD_CLOEXEC:
      return duplicate(fd, call.integer(2), true);
    case F_GETFD:
      return close_on_exec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
      set_close_on_exec(fd, (call.integer(2) & FD_CLOEXEC) != 0);
      return 0;
    case F_GETFL:
      return static_cast<long>(object->flags);
    case F_SETFL:
      object->flags = (object->flags & ~kChangeable) | (call.word(2) & kChangeable);
      return 0;
    default:
      break;
  }
  if (is_lock_command(call.integer(1))) {
    return lock_record(fd, call.integer(1), call.pointer<struct flock>(2));
  }
  count_unhandled("fcntl command");
  return -EINVAL;
}

}  // namespace evenkeel::kernel
