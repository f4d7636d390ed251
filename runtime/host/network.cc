#include "runtime/host/network.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "runtime/host/clock.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

constexpr uint32_t kConnectionEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

uint64_t tag(Source source, uint32_t index) { return static_cast<uint64_t>(source) << 32 | index; }

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void local_address(int fd, wire::SocketAddress& out) {
  socklen_t bytes = sizeof out.data;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(out.data), &bytes) == 0) out.bytes = bytes;
}

}  // namespace

Network::Network(Connections& connections)
    : connections_(connections), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.valid()) {
    throw Refusal(kExitUsage, fmt::format("no epoll: {}", std::strerror(errno)),
                  "raise the limit of open files (ulimit -n)");
  }
}

void Network::control(int operation, int fd, Source source, uint32_t index, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(source, index);
  if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) {
    say("epoll_ctl of fd {}: {}", fd, std::strerror(errno));
  }
}

void Network::watch(int fd, Source source) { control(EPOLL_CTL_ADD, fd, source, 0, EPOLLIN); }

int Network::wait(uint64_t timeout_ns) {
  if (timeout_ns == UINT64_MAX) {
    return ::epoll_wait(epoll_.get(), events_, kMaxEvents, -1);
  }
  // epoll_pwait2 (Linux 5.11, glibc 2.35): servers' timers are finer than a millisecond.
  const timespec timeout{static_cast<time_t>(timeout_ns / kNsPerSecond),
                         static_cast<long>(timeout_ns % kNsPerSecond)};
  return ::epoll_pwait2(epoll_.get(), events_, kMaxEvents, &timeout, nullptr);
}

uint32_t Network::gather(Batch& batch, uint64_t timeout_ns, uint64_t& woke_ns) {
  if (accepting_paused_) resume_accepting();
  const int count = wait(leftover_.empty() ? timeout_ns : 0);
  woke_ns = monotonic_ns();
  read_leftover(batch);
  uint32_t others = 0;
  for (int i = 0; i < count; ++i) {
    const auto source = static_cast<Source>(events_[i].data.u64 >> 32);
    const auto index = static_cast<uint32_t>(events_[i].data.u64);
    if (source == Source::kConnection) [[likely]] {
      on_connection(index, events_[i].events, batch);
    } else if (source == Source::kListener) {
      accept_from(index, batch);
    } else {
      others |= 1U << static_cast<uint32_t>(source);
    }
  }
  return others;
}

void Network::on_connection(uint32_t slot, uint32_t events, Batch& batch) {
  Connection& connection = connections_.at(slot);
  if (connection.fd < 0) return;
  if (connection.has(kConnecting)) return on_connecting(slot, batch);
  if ((events & EPOLLOUT) != 0 && connection.backlog_bytes() != 0) {
    connections_.drain(slot);
    if (connection.fd < 0) return;
    if (connection.has(kReadable) && !connection.has(kListed)) list(slot);
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  connection.flags |= kReadable;
  if ((events & EPOLLRDHUP) != 0) connection.flags |= kPeerFinished;
  if ((events & EPOLLERR) != 0) connection.flags |= kErrorSeen;
  // Nothing more can be sent: the server learns of it even while it does not read.
  const bool dead = (events & EPOLLERR) != 0 && !connection.may_read();
  if (dead) return read_failed(slot, ECONNRESET, batch);
  read(slot, batch);
}

void Network::on_connecting(uint32_t slot, Batch& batch) {
  Connection& connection = connections_.at(slot);
  connection.flags |= kReadable;  // the peer's first bytes may come with the same edge
  if (!batch.has_room()) return list(slot);
  int error = 0;
  socklen_t bytes = sizeof error;
  if (::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  sockaddr_storage peer;
  socklen_t peer_bytes = sizeof peer;
  const bool connected =
      ::getpeername(connection.fd, reinterpret_cast<sockaddr*>(&peer), &peer_bytes) == 0;
  if (error == 0 && !connected) return;  // an early edge: still under way
  connection.flags &= ~kConnecting;
  batch.add(wire::InputKind::kConnected, connection.channel, error);
  if (error != 0) {
    connection.flags |= kResetDelivered;
    return connections_.client_gone(slot);
  }
  list(slot);
}

void Network::read(uint32_t slot, Batch& batch) {
  Connection& connection = connections_.at(slot);
  if (!connection.may_read()) return;  // resume() looks at kReadable
  if (!batch.has_room()) [[unlikely]]
    return list(slot);
  const size_t limit = batch.read_limit();
  const ssize_t bytes = ::recv(connection.fd, batch.cursor(), limit, MSG_DONTWAIT);
  if (bytes > 0) [[likely]] {
    batch.add_data(connection.channel, static_cast<uint32_t>(bytes));
    if (static_cast<size_t>(bytes) == limit || connection.has(kErrorSeen)) return list(slot);
    connection.flags &= ~kReadable;
    if (connection.has(kPeerFinished)) deliver_eof(connection, batch);
  } else if (bytes == 0) {
    deliver_eof(connection, batch);
  } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    connection.flags &= ~kReadable;
  } else {
    read_failed(slot, errno, batch);
  }
}

void Network::deliver_eof(Connection& connection, Batch& batch) {
  connection.flags = (connection.flags | kEofDelivered) & ~kReadable;
  batch.add(wire::InputKind::kEof, connection.channel, 0);
}

void Network::read_failed(uint32_t slot, int error, Batch& batch) {
  Connection& connection = connections_.at(slot);
  if (batch.has_room() && !connection.has(kResetDelivered | kServerClosed)) {
    connection.flags |= kResetDelivered;
    batch.add(wire::InputKind::kReset, connection.channel, error);
  }
  connections_.client_gone(slot);
}

void Network::list(uint32_t slot) {
  Connection& connection = connections_.at(slot);
  if (connection.has(kListed)) return;
  connection.flags |= kListed;
  leftover_.push_back(slot);
}

void Network::read_leftover(Batch& batch) {
  if (leftover_.empty()) [[likely]]
    return;
  visiting_.swap(leftover_);
  for (const uint32_t slot : visiting_) {
    Connection& connection = connections_.at(slot);
    connection.flags &= ~kListed;
    if (connection.fd < 0 || !connection.has(kReadable)) continue;
    connection.has(kConnecting) ? on_connecting(slot, batch) : read(slot, batch);
  }
  visiting_.clear();
}

void Network::resume(uint32_t slot) {
  const Connection& connection = connections_.at(slot);
  if (connection.has(kReadable) && connection.may_read()) list(slot);
}

uint32_t Network::add_listener(Fd socket) {
  int domain = 0;
  socklen_t bytes = sizeof domain;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &bytes);
  const int fd = socket.get();
  listeners_.push_back({std::move(socket), domain == AF_INET || domain == AF_INET6, false});
  const auto id = static_cast<uint32_t>(listeners_.size());
  control(EPOLL_CTL_ADD, fd, Source::kListener, id, EPOLLIN);
  return id;
}

void Network::remove_listener(uint32_t id) {
  if (id >= 1 && id <= listeners_.size()) listeners_[id - 1].socket.reset();
}

int Network::listener_fd(uint32_t id) const {
  return id >= 1 && id <= listeners_.size() ? listeners_[id - 1].socket.get() : -1;
}

void Network::accept_from(uint32_t id, Batch& batch) {
  for (int i = 0; i < kMaxAccepts && batch.has_room(); ++i) {
    if (!accept_one(id, batch)) return;
  }
}

bool Network::accept_one(uint32_t id, Batch& batch) {
  const Listener& listener = listeners_[id - 1];
  wire::OpenedPayload payload{};
  socklen_t bytes = sizeof payload.peer.data;
  Fd socket(::accept4(listener.socket.get(), reinterpret_cast<sockaddr*>(payload.peer.data), &bytes,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      pause_accepting(std::strerror(errno));
      return false;
    }
    return errno == ECONNABORTED || errno == EINTR;
  }
  const uint32_t slot = connections_.open(socket.get());
  if (slot == UINT32_MAX) {
    pause_accepting("all slots are taken");
    return false;
  }
  if (listener.internet) set_no_delay(socket.get());
  payload.peer.bytes = bytes;
  local_address(socket.get(), payload.local);
  static_cast<void>(socket.release());  // the slot owns it
  batch.add_opened(connections_.at(slot).channel, id, payload);
  register_connection(slot);
  return true;
}

void Network::register_connection(uint32_t slot) {
  control(EPOLL_CTL_ADD, connections_.at(slot).fd, Source::kConnection, slot, kConnectionEvents);
}

// Level-triggered listeners would spin while there is no descriptor for the next client.
void Network::pause_accepting(const char* why) {
  if (accepting_paused_) return;
  say("cannot accept more than {} connections: {}; waiting for one to close", connections_.count(),
      why);
  accepting_paused_ = true;
  connections_when_paused_ = connections_.count();
  for (uint32_t id = 1; id <= listeners_.size(); ++id) {
    const int fd = listener_fd(id);
    if (fd >= 0) control(EPOLL_CTL_MOD, fd, Source::kListener, id, 0);
  }
}

void Network::resume_accepting() {
  if (connections_.count() >= connections_when_paused_) return;
  accepting_paused_ = false;
  for (uint32_t id = 1; id <= listeners_.size(); ++id) {
    const int fd = listener_fd(id);
    if (fd >= 0) control(EPOLL_CTL_MOD, fd, Source::kListener, id, EPOLLIN);
  }
}

bool Network::add_outbound(Fd socket, wire::Channel channel, bool established) {
  const uint32_t slot = connections_.open_outbound(socket.get(), channel);
  if (slot == UINT32_MAX) return false;
  static_cast<void>(socket.release());
  if (!established) connections_.at(slot).flags |= kConnecting;
  register_connection(slot);
  return true;
}

}  // namespace evenkeel::host
