#include "runtime/host/connections.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/host/batch.h"

namespace evenkeel::host {
namespace {

constexpr size_t kInitialSlots = 1024;
constexpr uint32_t kNone = UINT32_MAX;

// Bytes taken by the socket; -1 when it is broken.
ssize_t send_some(int fd, iovec* pieces, size_t count) {
  ssize_t sent = 0;
  if (count == 1) {
    sent = ::send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ? 0 : -1;
}

size_t total(const iovec* pieces, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += pieces[i].iov_len;
  return bytes;
}

// The pieces without their first `bytes`; returns how many remain, moved to the front.
size_t drop_front(iovec*& pieces, size_t count, size_t bytes) {
  while (count != 0 && bytes >= pieces->iov_len) {
    bytes -= pieces->iov_len;
    ++pieces;
    --count;
  }
  if (count != 0) {
    pieces->iov_base = static_cast<uint8_t*>(pieces->iov_base) + bytes;
    pieces->iov_len -= bytes;
  }
  return count;
}

void set_linger_reset(int fd) {
  const linger reset{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

}  // namespace

Connections::Connections() { slots_.reserve(kInitialSlots); }

Connections::~Connections() {
  for (const Connection& connection : slots_) {
    if (connection.fd >= 0) ::close(connection.fd);
  }
}

uint32_t Connections::take_slot() {
  if (free_.empty()) {
    if (slots_.size() >= kMaxSlots) return kNone;
    slots_.emplace_back();
    ++count_;
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  ++count_;
  return slot;
}

void Connections::free_slot(uint32_t slot) {
  Connection& connection = slots_[slot];
  if (connection.fd >= 0) ::close(connection.fd);
  if (connection.channel >= wire::kVirtualSocketBase) outbound_.erase(connection.channel);
  connection = Connection{};
  free_.push_back(slot);
  --count_;
}

uint32_t Connections::open(int fd) {
  const uint32_t slot = take_slot();
  if (slot == kNone) return kNone;
  slots_[slot].fd = fd;
  slots_[slot].channel = ++serial_ << wire::kChannelSlotBits | slot;
  return slot;
}

uint32_t Connections::open_outbound(int fd, wire::Channel channel) {
  const uint32_t slot = take_slot();
  if (slot == kNone) return kNone;
  slots_[slot].fd = fd;
  slots_[slot].channel = channel;
  outbound_[channel] = slot;
  return slot;
}

uint32_t Connections::slot_of(wire::Channel channel) const {
  if (channel >= wire::kVirtualSocketBase) {
    const auto found = outbound_.find(channel);
    return found == outbound_.end() ? kNone : found->second;
  }
  const auto slot = static_cast<uint32_t>(channel & (kMaxSlots - 1));
  return slot < slots_.size() && channel != 0 && slots_[slot].channel == channel ? slot : kNone;
}

void Connections::keep(Connection& connection, const iovec* pieces, size_t count) {
  if (!connection.backlog) connection.backlog = std::make_unique<Backlog>();
  std::vector<uint8_t>& bytes = connection.backlog->bytes;
  for (size_t i = 0; i < count; ++i) {
    const auto* data = static_cast<const uint8_t*>(pieces[i].iov_base);
    bytes.insert(bytes.end(), data, data + pieces[i].iov_len);
  }
}

void Connections::send(uint32_t slot, iovec* pieces, size_t count) {
  Connection& connection = slots_[slot];
  if (connection.fd < 0) return;  // the client is gone: nobody to send to
  if (connection.backlog_bytes() == 0) {
    const ssize_t sent = send_some(connection.fd, pieces, count);
    if (sent < 0) return client_gone(slot);
    if (static_cast<size_t>(sent) == total(pieces, count)) [[likely]]
      return;
    count = drop_front(pieces, count, static_cast<size_t>(sent));
  }
  keep(connection, pieces, count);
  backlog_changed(slot);
}

void Connections::drain(uint32_t slot) {
  Connection& connection = slots_[slot];
  if (connection.backlog_bytes() == 0 || connection.fd < 0) return;
  Backlog& backlog = *connection.backlog;
  iovec rest{backlog.bytes.data() + backlog.head, backlog.size()};
  const ssize_t sent = send_some(connection.fd, &rest, 1);
  if (sent < 0) return client_gone(slot);
  backlog.head += static_cast<size_t>(sent);
  if (backlog.size() == 0) {
    finish_backlog(slot);
  } else {
    // Compact when half is gone: amortised one move per byte.
    if (backlog.head > backlog.bytes.size() / 2) {
      backlog.bytes.erase(backlog.bytes.begin(),
                          backlog.bytes.begin() + static_cast<ptrdiff_t>(backlog.head));
      backlog.head = 0;
    }
    backlog_changed(slot);
  }
}

void Connections::finish_backlog(uint32_t slot) {
  Connection& connection = slots_[slot];
  connection.backlog.reset();
  if (connection.has(kServerClosed)) return free_slot(slot);
  if (connection.has(kShutdownPending)) ::shutdown(connection.fd, SHUT_WR);
  backlog_changed(slot);
}

void Connections::backlog_changed(uint32_t slot) {
  Connection& connection = slots_[slot];
  const uint64_t bytes = connection.backlog_bytes();
  if (bytes >= kPauseReadingBytes) {
    connection.flags |= kBacklogPaused;
  } else {
    connection.flags &= ~kBacklogPaused;
  }
  if (connection.has(kServerClosed)) return;
  const uint64_t told = connection.reported_backlog;
  if (bytes > told || bytes <= told / 2) note(slot);
}

void Connections::note(uint32_t slot) {
  if (slots_[slot].has(kNoted)) return;
  slots_[slot].flags |= kNoted;
  noted_.push_back(slot);
}

void Connections::server_closed(uint32_t slot) {
  slots_[slot].flags |= kServerClosed;
  if (slots_[slot].fd < 0 || slots_[slot].backlog_bytes() == 0) free_slot(slot);
}

void Connections::server_aborted(uint32_t slot) {
  if (slots_[slot].fd >= 0) set_linger_reset(slots_[slot].fd);
  free_slot(slot);
}

void Connections::server_shut_down(uint32_t slot) {
  Connection& connection = slots_[slot];
  if (connection.backlog_bytes() != 0) {
    connection.flags |= kShutdownPending;
  } else if (connection.fd >= 0) {
    ::shutdown(connection.fd, SHUT_WR);
  }
}

void Connections::client_gone(uint32_t slot) {
  Connection& connection = slots_[slot];
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
  connection.backlog.reset();
  if (connection.has(kServerClosed)) return free_slot(slot);
  if (!connection.has(kResetDelivered)) {
    connection.flags |= kResetNoted;
    note(slot);
  }
}

void Connections::drop_client(uint32_t slot) {
  Connection& connection = slots_[slot];
  if (connection.fd >= 0) set_linger_reset(connection.fd);
  connection.flags |= kResetDelivered;
  client_gone(slot);
}

bool Connections::deliver_note(Connection& connection, Batch& batch) {
  if (!batch.has_room()) return false;
  connection.flags &= ~kNoted;
  if (connection.has(kResetNoted) && !connection.has(kResetDelivered)) {
    connection.flags |= kResetDelivered;
    batch.add(wire::InputKind::kReset, connection.channel, ECONNRESET);
    return true;
  }
  const uint64_t bytes = connection.backlog_bytes();
  const auto value = static_cast<int64_t>(bytes);
  if (bytes > connection.reported_backlog) {
    batch.add_note(wire::InputKind::kBacklog, connection.channel, value);
  } else if (bytes < connection.reported_backlog) {
    batch.add(wire::InputKind::kBacklog, connection.channel, value);
  }
  connection.reported_backlog = bytes;
  return true;
}

void Connections::deliver_notes(Batch& batch) {
  if (noted_.empty()) [[likely]]
    return;
  size_t done = 0;
  for (; done < noted_.size(); ++done) {
    Connection& connection = slots_[noted_[done]];
    // A slot that was freed, and perhaps taken again, since it was noted has nothing to say.
    if (!connection.has(kNoted)) continue;
    if (!deliver_note(connection, batch)) break;
  }
  noted_.erase(noted_.begin(), noted_.begin() + static_cast<ptrdiff_t>(done));
}

}  // namespace evenkeel::host
