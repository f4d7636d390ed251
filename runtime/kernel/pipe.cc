// pipe() and socketpair(AF_UNIX, SOCK_STREAM): byte queues between two objects of this process.
#include "runtime/kernel/pipe.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "runtime/core/arena.h"
#include "runtime/kernel/byte_queue.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

constexpr uint32_t kPipeBytes = 64 << 10;   // as Linux by default
constexpr uint32_t kPairBytes = 208 << 10;  // net.core.wmem_default

// A pipe end or one end of a pair. `in` is what this end reads. A pipe's write end reads nothing,
// its read end has a peer it never writes to.
struct End {
  Object object;
  End* peer;  // null: closed
  ByteQueue in;
  uint32_t limit;  // of `in`
  bool shut_read, shut_write;
};

End& end_of(Object& object) { return reinterpret_cast<End&>(object); }
const End& end_of(const Object& object) { return reinterpret_cast<const End&>(object); }

bool at_end(const End& end) { return end.shut_read || end.peer == nullptr || end.peer->shut_write; }

// A write of at most PIPE_BUF bytes to a pipe is atomic: it needs room for the whole.
uint32_t room(const End& writer) {
  const End& reader = *writer.peer;
  return reader.limit - std::min(reader.limit, reader.in.size);
}

uint32_t readiness(const Object& object) {
  const End& end = end_of(object);
  const bool reads = object.type != ObjectType::kPipeWrite;
  const bool writes = object.type != ObjectType::kPipeRead;
  const bool pair = object.type == ObjectType::kPair;
  uint32_t events = 0;
  if (reads && (end.in.size != 0 || (pair && at_end(end)))) events |= EPOLLIN | EPOLLRDNORM;
  if (pair && at_end(end)) events |= EPOLLRDHUP;
  if (end.peer == nullptr) events |= object.type == ObjectType::kPipeWrite ? EPOLLERR : EPOLLHUP;
  if (writes && (end.peer == nullptr || end.shut_write || room(end) >= PIPE_BUF)) {
    events |= EPOLLOUT | EPOLLWRNORM;
  }
  return events;
}

long read_end(Object& object, const Buffers& out, uint32_t message_flags) {
  End& end = end_of(object);
  if (object.type == ObjectType::kPipeWrite) return -EBADF;
  if (out.total() == 0) return 0;
  if (end.in.size == 0) return at_end(end) ? 0 : -EAGAIN;
  const uint32_t taken = end.in.take(out, (message_flags & MSG_PEEK) == 0);
  if (end.peer != nullptr) notify(end.peer->object, EPOLLOUT | EPOLLWRNORM);
  return taken;
}

long write_end(Object& object, const Buffers& in) {
  End& end = end_of(object);
  if (object.type == ObjectType::kPipeRead) return -EBADF;
  if (end.peer == nullptr || end.shut_write || end.peer->shut_read) return -EPIPE;
  const size_t wanted = in.total();
  if (wanted == 0) return 0;
  if (room(end) == 0 || (wanted <= PIPE_BUF && room(end) < wanted)) return -EAGAIN;
  End& reader = *end.peer;
  uint32_t written = 0;
  for (uint32_t i = 0; i < in.count; ++i) {
    const auto length = static_cast<uint32_t>(std::min<size_t>(in.vectors[i].iov_len, INT_MAX));
    const uint32_t accepted = reader.in.append(in.vectors[i].iov_base, length, reader.limit);
    written += accepted;
    if (accepted < length) break;
  }
  notify(reader.object, EPOLLIN | EPOLLRDNORM);
  return written;
}

void close_end(Object& object) {
  End& end = end_of(object);
  if (end.peer != nullptr) {
    end.peer->peer = nullptr;
    notify(end.peer->object, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR | EPOLLRDHUP);
  }
  end.in.clear();
  arena::destroy(&end);
}

constexpr ObjectOps kOps{readiness, read_end, write_end, close_end};

End* create_end(ObjectType type, uint32_t limit, uint32_t flags) {
  auto* end = arena::create<End>();
  init_object(end->object, type, kOps, flags);
  end->limit = limit;
  return end;
}

long install_both(End& first, End& second, bool cloexec, int* out) {
  const long a = install(first.object, cloexec);
  const long b = install(second.object, cloexec);
  if (a < 0 || b < 0) {
    if (a >= 0) close_fd(static_cast<int>(a));
    if (b >= 0) close_fd(static_cast<int>(b));
    return a < 0 ? a : b;
  }
  out[0] = static_cast<int>(a);
  out[1] = static_cast<int>(b);
  return 0;
}

// Both ends share one queue state, so they share one domain from the start.
void connect_ends(End& a, End& b) {
  a.peer = &b;
  b.peer = &a;
  share_order(a.object);
  share_order(b.object);
}

}  // namespace

long shutdown_pair(Object& object, int how) {
  End& end = end_of(object);
  if (how != SHUT_WR) end.shut_read = true;
  if (how != SHUT_RD) end.shut_write = true;
  notify(object, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
  if (end.peer != nullptr) notify(end.peer->object, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
  return 0;
}

uint32_t bytes_waiting(const Object& object) { return end_of(object).in.size; }

long sys_pipe2(const Call& call) {
  const int flags = call.integer(1);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) return -EINVAL;
  const auto status = static_cast<uint32_t>(flags & O_NONBLOCK);
  sched::lock();
  End* reader = create_end(ObjectType::kPipeRead, kPipeBytes, O_RDONLY | status);
  End* writer = create_end(ObjectType::kPipeWrite, 0, O_WRONLY | status);
  connect_ends(*reader, *writer);
  sched::unlock();
  return install_both(*reader, *writer, (flags & O_CLOEXEC) != 0, call.pointer<int>(0));
}

long sys_pipe(const Call& call) { return sys_pipe2(Call{SYS_pipe2, {call.args[0]}, nullptr}); }

long sys_socketpair(const Call& call) {
  const int type = call.integer(1);
  if (call.integer(0) != AF_UNIX) return -EOPNOTSUPP;
  if ((type & 0xf) != SOCK_STREAM) {
    count_unhandled("socketpair of another type than SOCK_STREAM");
    return -EPROTONOSUPPORT;
  }
  const uint32_t status = O_RDWR | static_cast<uint32_t>(type & SOCK_NONBLOCK);
  sched::lock();
  End* a = create_end(ObjectType::kPair, kPairBytes, status);
  End* b = create_end(ObjectType::kPair, kPairBytes, status);
  connect_ends(*a, *b);
  sched::unlock();
  return install_both(*a, *b, (type & SOCK_CLOEXEC) != 0, call.pointer<int>(3));
}

}  // namespace evenkeel::kernel
