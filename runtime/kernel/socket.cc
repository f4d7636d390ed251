#include "runtime/kernel/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/external.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/io.h"
#include "runtime/kernel/pipe.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/syslog.h"
#include "runtime/kernel/wait.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;
using wire::ExternalOp;

// A stream socket that is no connection (yet): ObjectType::kSocket, or kListener once it listens.
// A socket that connects is replaced in the descriptor table by its Connection.
struct Socket {
  Object object;
  wire::Channel id;  // virtual: wire::kVirtualSocketBase + n
  SocketOptions* options;
  wire::SocketAddress local;
  bool bound;
  uint32_t listener;  // id given by the coordinator; 0: does not listen
  Connection* pending_head;
  Connection* pending_tail;
  uint32_t pending;
  OutputChain chain;
};

bool is_socket(const Object& object) {
  return object.type == ObjectType::kSocket || object.type == ObjectType::kListener;
}
Socket* socket_of(int fd) {
  Object* object = object_of(fd);
  return object != nullptr && is_socket(*object) ? reinterpret_cast<Socket*>(object) : nullptr;
}

uint32_t readiness(const Object& object) {
  const auto& socket = reinterpret_cast<const Socket&>(object);
  if (socket.listener == 0)
    return EPOLLOUT | EPOLLHUP;  // as Linux: neither connected nor listening
  return socket.pending_head != nullptr ? uint32_t{EPOLLIN | EPOLLRDNORM} : 0;
}

long not_connected(Object&, const Buffers&, uint32_t) { return -ENOTCONN; }
long not_connected_write(Object&, const Buffers&) { return -EPIPE; }

constinit Socket** g_listeners = nullptr;  // by id; see listen
constexpr uint32_t kMaxListeners = 1024;   // more: listen() fails with EADDRINUSE

Connection* pop_pending(Socket& socket) {
  Connection* c = socket.pending_head;
  if (c == nullptr) return nullptr;
  socket.pending_head = c->next_pending;
  if (socket.pending_head == nullptr) socket.pending_tail = nullptr;
  c->next_pending = nullptr;
  --socket.pending;
  return c;
}

void close_socket(Object& object) {
  auto& socket = reinterpret_cast<Socket&>(object);
  if (socket.listener != 0) {
    emit(socket.chain, wire::OutputKind::kUnlisten, socket.listener);
    g_listeners[socket.listener] = nullptr;
    while (Connection* c = pop_pending(socket)) release(c->object);
  }
  destroy_options(socket.options);
  arena::destroy(&socket);
}

constexpr ObjectOps kOps{readiness, not_connected, not_connected_write, close_socket};

bool known_domain(int domain) {
  return domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX;
}

wire::BindArguments arguments_of(const Socket& socket, const void* address, uint32_t bytes) {
  wire::BindArguments arguments{};
  arguments.domain = socket.options->domain;
  arguments.type = SOCK_STREAM;
  arguments.protocol = socket.options->protocol;
  arguments.option_count = socket.options->count;
  std::copy_n(socket.options->set, socket.options->count, arguments.options);
  arguments.address.bytes = bytes;
  std::memcpy(arguments.address.data, address, bytes);
  return arguments;
}

bool plausible_address(const void* address, uint32_t bytes) {
  return address != nullptr && bytes >= sizeof(sa_family_t) &&
         bytes <= sizeof(wire::SocketAddress::data);
}

long bind_socket(Socket& socket, const void* address, uint32_t bytes) {
  const wire::BindArguments arguments = arguments_of(socket, address, bytes);
  wire::SocketAddress bound{};
  const long result = external_call(
      {ExternalOp::kBind, socket.id, 0, &arguments, sizeof arguments, &bound, sizeof bound});
  if (result < 0) return result;
  OrderedGuard guard(*socket.object.order, Tag::kObject);
  socket.local = bound;
  socket.bound = true;
  return 0;
}

void report_address(const wire::SocketAddress& from, void* out, uint32_t* bytes) {
  if (out == nullptr || bytes == nullptr) return;
  std::memcpy(out, from.data, std::min(*bytes, from.bytes));
  *bytes = from.bytes;
}

wire::SocketAddress unnamed(int domain) {
  wire::SocketAddress address{};
  const auto family = static_cast<sa_family_t>(domain);
  std::memcpy(address.data, &family, sizeof family);
  address.bytes = domain == AF_INET    ? uint32_t{sizeof(sockaddr_in)}
                  : domain == AF_INET6 ? uint32_t{sizeof(sockaddr_in6)}
                                       : uint32_t{sizeof(sa_family_t)};
  return address;
}

// The next connection of a listener, waiting for one if the socket blocks.
long take_connection(Socket& socket, Connection*& out) {
  sched::end_input();
  for (;;) {
    sched::lock_ordered(*socket.object.order, Tag::kObject);
    if (socket.listener == 0) {
      sched::unlock();
      return -EINVAL;
    }
    out = pop_pending(socket);
    if (out != nullptr || nonblocking(socket.object)) {
      sched::unlock();
      return out != nullptr ? 0 : -EAGAIN;
    }
    retain(socket.object);
    const Waited waited = wait_on(key_of(socket.object), sched::kNoDeadline, true);
    sched::Guard guard;
    release(socket.object);
    if (waited == Waited::kInterrupted) return -EINTR;
  }
}

long accept_call(const Call& call, int flags) {
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  Socket* socket = socket_of(call.integer(0));
  if (socket == nullptr) return object->type == ObjectType::kConnection ? -EINVAL : -ENOTSOCK;
  Connection* c = nullptr;
  const long result = take_connection(*socket, c);
  if (result < 0) return result;
  c->accepted = true;
  c->object.flags = O_RDWR | static_cast<uint32_t>(flags & SOCK_NONBLOCK);
  if (c->options == nullptr) {
    sched::Guard guard;
    c->options = copy_options(*socket->options);
  }
  if (c->addresses != nullptr) {
    report_address(c->addresses[0], call.pointer<void>(1), call.pointer<uint32_t>(2));
  }
  return install(c->object, (flags & SOCK_CLOEXEC) != 0);
}

// connect(): the descriptor's Socket becomes a Connection on the socket's own channel.
long connect_socket(int fd, Socket& socket, const void* address, uint32_t bytes) {
  if (socket.listener != 0) return -EISCONN;
  const wire::BindArguments arguments = arguments_of(socket, address, bytes);
  wire::SocketAddress local{};
  const long result = external_call(
      {ExternalOp::kConnect, socket.id, 0, &arguments, sizeof arguments, &local, sizeof local});
  if (result < 0 && result != -EINPROGRESS) return result;
  Connection* c = nullptr;
  {
    OrderedGuard guard(*socket.object.order, Tag::kObject);
    c = create_connection(socket.id, &arguments.address, &local);
    c->object.flags = socket.object.flags;
    c->options = copy_options(*socket.options);
    c->accepted = true;
    c->connecting = result == -EINPROGRESS;
  }
  replace(fd, c->object);
  if (!c->connecting) return 0;
  if (nonblocking(c->object)) return -EINPROGRESS;
  while (c->connecting) {
    sched::lock_ordered(*c->object.order, Tag::kObject);
    if (!c->connecting) {
      sched::unlock();
      break;
    }
    if (wait_on(key_of(c->object), sched::kNoDeadline, false) == Waited::kInterrupted) {
      return -EINTR;
    }
  }
  const int error = c->error;
  c->error = 0;
  return -error;
}

SocketOptions* options_of(Object& object) {
  if (is_socket(object)) return reinterpret_cast<Socket&>(object).options;
  if (object.type != ObjectType::kConnection) return nullptr;
  auto& c = reinterpret_cast<Connection&>(object);
  if (c.options == nullptr) {
    sched::Guard guard;
    c.options = create_options(AF_INET, SOCK_STREAM, 0);
  }
  return c.options;
}

// Set on the coordinator's socket as well: it is what the network sees.
void forward_option(Object& object, int level, int name, const void* value, uint32_t bytes) {
  if (object.type != ObjectType::kConnection) return;
  auto& c = reinterpret_cast<Connection&>(object);
  uint8_t payload[2 * sizeof(int32_t) + sizeof(wire::BindArguments::Option::value)];
  const int32_t head[2] = {level, name};
  std::memcpy(payload, head, sizeof head);
  std::memcpy(payload + sizeof head, value, bytes);
  emit(c.chain, wire::OutputKind::kOption, c.channel, payload,
       static_cast<uint32_t>(sizeof head) + bytes);
}

uint32_t message_flags_of(const Call& call, int argument) {
  constexpr uint32_t kKnown = MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_MORE |
                              MSG_TRUNC | MSG_CMSG_CLOEXEC;
  const uint32_t flags = call.word(argument);
  if ((flags & ~kKnown) != 0) count_unhandled("send or receive flags");
  return flags & kKnown;
}

bool is_stream(const Object& object) {
  return object.type == ObjectType::kConnection || object.type == ObjectType::kPair ||
         object.type == ObjectType::kSyslog || is_socket(object);
}

long receive(int fd, const Buffers& out, uint32_t flags) {
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  return is_stream(*object) ? read_object(*object, out, flags) : -ENOTSOCK;
}
long send(int fd, const Buffers& in, uint32_t flags) {
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  return is_stream(*object) ? write_object(*object, in, flags) : -ENOTSOCK;
}

}  // namespace

void init_sockets() {
  g_listeners = static_cast<Socket**>(arena::allocate(kMaxListeners * sizeof(Socket*)));
}

void deliver_opened(const wire::Input& input, const wire::OpenedPayload& payload) {
  Socket* socket = input.listener < kMaxListeners ? g_listeners[input.listener] : nullptr;
  Connection* c = create_connection(input.channel, &payload.peer, &payload.local);
  if (socket == nullptr) {  // the server closed its listener meanwhile
    release(c->object);
    return;
  }
  if (socket->pending_tail != nullptr) {
    socket->pending_tail->next_pending = c;
  } else {
    socket->pending_head = c;
  }
  socket->pending_tail = c;
  ++socket->pending;
  notify(socket->object, EPOLLIN | EPOLLRDNORM);
}

long sys_socket(const Call& call) {
  const int domain = call.integer(0);
  const int type = call.integer(1);
  const bool cloexec = (type & SOCK_CLOEXEC) != 0;
  const uint32_t status = O_RDWR | static_cast<uint32_t>(type & SOCK_NONBLOCK);
  if (domain == AF_UNIX && (type & 0xf) == SOCK_DGRAM) {
    Object* syslog = create_syslog(status);
    return install(*syslog, cloexec);
  }
  if (!known_domain(domain) || (type & 0xf) != SOCK_STREAM) {
    count_unhandled("socket that is no TCP or Unix stream");
    return -EAFNOSUPPORT;
  }
  sched::lock_ordered(state().shared_version, Tag::kObject);
  auto* socket = arena::create<Socket>();
  init_object(socket->object, ObjectType::kSocket, kOps, status);
  socket->id = wire::kVirtualSocketBase + state().next_socket_id++;
  socket->options = create_options(domain, SOCK_STREAM, call.integer(2));
  socket->local = unnamed(domain);
  sched::unlock();
  return install(socket->object, cloexec);
}

long sys_bind(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  Socket* socket = socket_of(call.integer(0));
  if (socket == nullptr) return object->type == ObjectType::kConnection ? -EINVAL : -ENOTSOCK;
  if (socket->bound || !plausible_address(call.pointer<void>(1), call.word(2))) return -EINVAL;
  return bind_socket(*socket, call.pointer<void>(1), call.word(2));
}

long sys_listen(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  Socket* socket = socket_of(call.integer(0));
  if (socket == nullptr) return object->type == ObjectType::kConnection ? -EINVAL : -ENOTSOCK;
  if (socket->listener != 0) return 0;
  if (!socket->bound) {
    const wire::SocketAddress any = unnamed(socket->options->domain);
    const long bound = bind_socket(*socket, any.data, any.bytes);
    if (bound < 0) return bound;
  }
  const long listener =
      external_call({ExternalOp::kListen, socket->id, call.integer(1), nullptr, 0, nullptr, 0});
  if (listener < 0) return listener;
  if (listener >= long{kMaxListeners}) return -EADDRINUSE;
  OrderedGuard guard(*socket->object.order, Tag::kObject);
  socket->listener = static_cast<uint32_t>(listener);
  socket->object.type = ObjectType::kListener;
  g_listeners[listener] = socket;
  ++state().listeners;
  return 0;
}

long sys_accept4(const Call& call) { return accept_call(call, call.integer(3)); }
long sys_accept(const Call& call) { return accept_call(call, 0); }

long sys_connect(const Call& call) {
  const int fd = call.integer(0);
  const auto* address = call.pointer<const sockaddr>(1);
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  if (object->type == ObjectType::kSyslog) {
    return is_syslog_address(address, call.word(2)) ? 0 : -ECONNREFUSED;
  }
  if (object->type == ObjectType::kConnection) {
    return reinterpret_cast<Connection*>(object)->connecting ? -EALREADY : -EISCONN;
  }
  Socket* socket = socket_of(fd);
  if (socket == nullptr) return -ENOTSOCK;
  if (!plausible_address(address, call.word(2))) return -EINVAL;
  return connect_socket(fd, *socket, address, call.word(2));
}

long sys_shutdown(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  OrderedGuard guard(*object->order, Tag::kObject);
  if (object->type == ObjectType::kConnection) {
    return shutdown_connection(reinterpret_cast<Connection&>(*object), call.integer(1));
  }
  if (object->type == ObjectType::kPair) return shutdown_pair(*object, call.integer(1));
  return is_socket(*object) ? -ENOTCONN : -ENOTSOCK;
}

long sys_setsockopt(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  if (object->type == ObjectType::kPair || object->type == ObjectType::kSyslog) return 0;
  SocketOptions* options = options_of(*object);
  if (options == nullptr) return -ENOTSOCK;
  OrderedGuard guard(*object->order, Tag::kObject);
  const long result = set_option(*options, call.integer(1), call.integer(2),
                                 call.pointer<const void>(3), call.word(4));
  if (result == 0) {
    forward_option(*object, call.integer(1), call.integer(2), call.pointer<const void>(3),
                   call.word(4));
  }
  return result;
}

long sys_getsockopt(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  auto* bytes = call.pointer<uint32_t>(4);
  if (object->type == ObjectType::kPair) {
    const SocketOptions pair{AF_UNIX, SOCK_STREAM, 0, 0, {}};
    return get_option(pair, call.integer(1), call.integer(2), call.pointer<void>(3), bytes, 0,
                      false);
  }
  SocketOptions* options = options_of(*object);
  if (options == nullptr) return -ENOTSOCK;
  OrderedGuard guard(*object->order, Tag::kObject);
  int error = 0;
  if (object->type == ObjectType::kConnection && call.integer(1) == SOL_SOCKET &&
      call.integer(2) == SO_ERROR) {
    auto& c = reinterpret_cast<Connection&>(*object);
    error = c.error;
    c.error = 0;
  }
  return get_option(*options, call.integer(1), call.integer(2), call.pointer<void>(3), bytes, error,
                    object->type == ObjectType::kListener);
}

long sys_getsockname(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  auto* bytes = call.pointer<uint32_t>(2);
  if (Socket* socket = socket_of(call.integer(0))) {
    report_address(socket->local, call.pointer<void>(1), bytes);
  } else if (object->type == ObjectType::kConnection) {
    const auto& c = reinterpret_cast<Connection&>(*object);
    report_address(c.addresses != nullptr ? c.addresses[1] : unnamed(AF_INET),
                   call.pointer<void>(1), bytes);
  } else if (object->type == ObjectType::kPair) {
    report_address(unnamed(AF_UNIX), call.pointer<void>(1), bytes);
  } else {
    return -ENOTSOCK;
  }
  return 0;
}

long sys_getpeername(const Call& call) {
  Object* object = object_of(call.integer(0));
  if (object == nullptr) return -EBADF;
  if (object->type == ObjectType::kPair) {
    report_address(unnamed(AF_UNIX), call.pointer<void>(1), call.pointer<uint32_t>(2));
    return 0;
  }
  if (object->type != ObjectType::kConnection) return is_socket(*object) ? -ENOTCONN : -ENOTSOCK;
  const auto& c = reinterpret_cast<Connection&>(*object);
  if (c.connecting || c.addresses == nullptr) return -ENOTCONN;
  report_address(c.addresses[0], call.pointer<void>(1), call.pointer<uint32_t>(2));
  return 0;
}

long sys_recvfrom(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  if (auto* bytes = call.pointer<uint32_t>(5); bytes != nullptr && call.args[4] != 0) *bytes = 0;
  return receive(call.integer(0), {&vector, 1}, message_flags_of(call, 3));
}

long sys_sendto(const Call& call) {
  const iovec vector{call.pointer<void>(1), call.args[2]};
  return send(call.integer(0), {&vector, 1}, message_flags_of(call, 3));
}

long sys_recvmsg(const Call& call) {
  auto* message = call.pointer<msghdr>(1);
  const Buffers out{message->msg_iov, static_cast<uint32_t>(message->msg_iovlen)};
  const long result = receive(call.integer(0), out, message_flags_of(call, 2));
  if (result >= 0) {
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
  }
  return result;
}

long sys_sendmsg(const Call& call) {
  const auto* message = call.pointer<const msghdr>(1);
  if (message->msg_controllen != 0) {
    count_unhandled("sendmsg control data");
    return -EINVAL;
  }
  const Buffers in{message->msg_iov, static_cast<uint32_t>(message->msg_iovlen)};
  return send(call.integer(0), in, message_flags_of(call, 2));
}

}  // namespace evenkeel::kernel
