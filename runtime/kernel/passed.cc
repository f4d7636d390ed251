#include "runtime/kernel/passed.h"

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>

#include "runtime/core/sys.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/kernel_write.h"

namespace evenkeel::kernel {
namespace {

int real_fd(const Object& object) { return reinterpret_cast<const File&>(object).real_fd; }

short ready_events(int fd) {
  pollfd asked{fd, POLLIN | POLLOUT, 0};
  const auto result = sys::call(SYS_poll, sys::arg(&asked), 1, 0);
  return result.ok() ? asked.revents : short{0};
}

// The kernel lock is held: a real call must not block. Whoever would have to wait is told to come
// back, and nothing will wake him.
bool would_block(int fd, short wanted) {
  constexpr short kFailing = POLLERR | POLLHUP | POLLNVAL;
  if ((ready_events(fd) & (wanted | kFailing)) != 0) return false;
  count_unhandled("wait for a descriptor that stays real");
  return true;
}

}  // namespace

// poll() and epoll use the same bits.
uint32_t passed_readiness(const Object& object) {
  return static_cast<uint32_t>(ready_events(real_fd(object)));
}

long read_passed(Object& object, const Buffers& out, uint32_t) {
  const int fd = real_fd(object);
  if (would_block(fd, POLLIN)) return -EAGAIN;
  for (uint32_t i = 0; i < out.count; ++i) {
    prepare_kernel_write(out.vectors[i].iov_base, out.vectors[i].iov_len);
  }
  return sys::call(SYS_readv, fd, sys::arg(out.vectors), out.count).value();
}

long write_passed(Object& object, const Buffers& in) {
  const int fd = real_fd(object);
  if (would_block(fd, POLLOUT)) return -EAGAIN;
  count_unhandled("write to a descriptor that stays real");
  return sys::call(SYS_writev, fd, sys::arg(in.vectors), in.count).value();
}

}  // namespace evenkeel::kernel
