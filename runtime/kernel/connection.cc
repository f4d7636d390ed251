#include "runtime/kernel/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/state.h"
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lanes.h"

namespace evenkeel::kernel {
namespace {

using wire::OutputKind;

// Channels hash by number: the coordinator counts upwards, so chains are short.
constexpr uint32_t kBuckets = 16384;
constinit Connection** g_buckets = nullptr;

// Channels with input in the current command. Runtime memory, emptied when the command ends.
constinit uint32_t g_touched_count = 0;
constinit wire::Channel g_touched[wire::kMaxInputs];

Connection*& bucket_of(wire::Channel channel) { return g_buckets[channel % kBuckets]; }

uint32_t unread(const Connection& c) { return c.queue.size + c.fresh_bytes; }

uint32_t sent_now(const Connection& c) {
  return c.sent_batch == sched::batch_time().batch ? c.sent : 0;
}

uint32_t room(const Connection& c) {
  const uint64_t used = uint64_t{sent_now(c)} + c.backlog;
  if (used >= wire::kSendWindowBytes) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(wire::kSendWindowBytes - used, output_room()));
}

uint32_t readiness(const Object& object) {
  const auto& c = reinterpret_cast<const Connection&>(object);
  if (c.connecting) return 0;
  uint32_t events = 0;
  if (readable(c)) events |= EPOLLIN | EPOLLRDNORM;
  if (c.eof || c.shut_read) events |= EPOLLRDHUP;
  if ((c.eof || c.shut_read) && c.shut_write) events |= EPOLLHUP;
  if (c.error != 0) events |= EPOLLERR | EPOLLHUP;
  if (c.shut_write || c.error != 0 || room(c) != 0) events |= EPOLLOUT | EPOLLWRNORM;
  return events;
}

int take_error(Connection& c) {
  const int error = c.error;
  if (error != 0 && error != EPIPE) {
    c.error = 0;
    c.eof = true;  // after the error was reported once, reads see the end
    c.shut_write = true;
  }
  return error;
}

void resume_input(Connection& c) {
  if (!c.paused || unread(c) > wire::kReceiveWindowBytes / 2) return;
  c.paused = false;
  emit(c.chain, OutputKind::kResumeInput, c.channel);
}

uint32_t take_input(Connection& c, const Buffers& out, bool consume) {
  const uint32_t queued = c.queue.size == 0 ? 0 : c.queue.take(out, consume);
  const auto wanted = static_cast<uint32_t>(std::min<size_t>(out.total(), UINT32_MAX)) - queued;
  const uint32_t direct = std::min(wanted, c.fresh_bytes);
  scatter(out, queued, c.fresh, direct);
  if (consume) {
    c.fresh += direct;
    c.fresh_bytes -= direct;
  }
  return queued + direct;
}

long read_connection(Object& object, const Buffers& out, uint32_t message_flags) {
  auto& c = reinterpret_cast<Connection&>(object);
  if (c.connecting) return -EAGAIN;
  if (unread(c) == 0) {
    if (c.error != 0) return -take_error(c);
    if (c.eof || c.shut_read) {
      sched::borrow_lane(c.channel);  // what is freed now has been the connection's
      return 0;
    }
    return out.total() == 0 ? 0 : -EAGAIN;
  }
  sched::begin_input(c.channel);
  sched::borrow_lane(c.channel);
  const uint32_t taken = take_input(c, out, (message_flags & MSG_PEEK) == 0);
  resume_input(c);
  return taken;
}

void choke(Connection& c) {
  if (c.in_choked_list) return;
  c.in_choked_list = true;
  c.next_choked = state().choked;
  state().choked = &c;
}

long write_connection(Object& object, const Buffers& in) {
  auto& c = reinterpret_cast<Connection&>(object);
  if (c.connecting) return -EAGAIN;
  if (c.error != 0) return -take_error(c);
  if (c.shut_write) return -EPIPE;
  const auto wanted = static_cast<uint32_t>(std::min<size_t>(in.total(), UINT32_MAX));
  if (wanted == 0) return 0;
  const uint32_t accepted = std::min(wanted, room(c));
  if (accepted < wanted) choke(c);
  if (accepted == 0) return -EAGAIN;
  if (sched::self().input == 0) sched::begin_input(c.channel);  // a thread that only answers
  emit(c.chain, OutputKind::kData, c.channel, in, accepted);
  c.sent = sent_now(c) + accepted;
  c.sent_batch = sched::batch_time().batch;
  return accepted;
}

bool linger_aborts(const Connection& c) {
  linger value{};
  uint32_t bytes = sizeof value;
  return c.options != nullptr &&
         get_option(*c.options, SOL_SOCKET, SO_LINGER, &value, &bytes, 0, false) == 0 &&
         value.l_onoff != 0 && value.l_linger == 0;
}

void unlink_choked(Connection& c) {
  if (!c.in_choked_list) return;
  Connection** link = &state().choked;
  while (*link != &c) link = &(*link)->next_choked;
  *link = c.next_choked;
}

void close_connection(Object& object) {
  auto& c = reinterpret_cast<Connection&>(object);
  // As TCP does it: unread data or SO_LINGER 0 turn the close into a reset.
  const bool abort = unread(c) != 0 || linger_aborts(c);
  emit(c.chain, abort ? OutputKind::kAbort : OutputKind::kClose, c.channel);
  unlink_choked(c);
  Connection** link = &bucket_of(c.channel);
  while (*link != &c) link = &(*link)->next_in_bucket;
  *link = c.next_in_bucket;
  c.queue.clear();
  if (c.addresses != nullptr) arena::release(c.addresses, 2 * sizeof(wire::SocketAddress));
  if (c.options != nullptr) destroy_options(c.options);
  arena::destroy(&c);
}

constexpr ObjectOps kOps{readiness, read_connection, write_connection, close_connection};

}  // namespace

void init_connections() {
  g_buckets = static_cast<Connection**>(arena::allocate(kBuckets * sizeof(Connection*)));
}

wire::Channel channel_of(int fd) {
  const auto* c = object_as<Connection>(fd, ObjectType::kConnection);
  return c != nullptr ? c->channel : 0;
}

Connection* find_connection(wire::Channel channel) {
  Connection* c = bucket_of(channel);
  while (c != nullptr && c->channel != channel) c = c->next_in_bucket;
  return c;
}

Connection* create_connection(wire::Channel channel, const wire::SocketAddress* peer,
                              const wire::SocketAddress* local) {
  auto* c = arena::create<Connection>();
  init_object(c->object, ObjectType::kConnection, kOps, 02 /* O_RDWR */);
  c->channel = channel;
  c->next_in_bucket = bucket_of(channel);
  bucket_of(channel) = c;
  if (peer != nullptr) {
    c->addresses =
        static_cast<wire::SocketAddress*>(arena::allocate(2 * sizeof(wire::SocketAddress)));
    c->addresses[0] = *peer;
    c->addresses[1] = *local;
  }
  return c;
}

bool readable(const Connection& c) {
  return unread(c) != 0 || c.eof || c.shut_read || c.error != 0;
}

long shutdown_connection(Connection& c, int how) {
  if (c.error != 0) return -ENOTCONN;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (how != SHUT_WR) c.shut_read = true;
  if (how != SHUT_RD && !c.shut_write) {
    c.shut_write = true;
    emit(c.chain, OutputKind::kShutdownWrite, c.channel);
  }
  notify(c.object, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
  return 0;
}

void deliver_data(Connection& c, const uint8_t* bytes, uint32_t count) {
  if (c.shut_read) return;  // the server does not want it: dropped, as a closed receive side does
  if (c.fresh_bytes != 0) {
    c.queue.append(c.fresh, c.fresh_bytes, UINT32_MAX);
  }
  c.fresh = bytes;
  c.fresh_bytes = count;
  if (g_touched_count < wire::kMaxInputs) g_touched[g_touched_count++] = c.channel;
  notify(c.object, EPOLLIN | EPOLLRDNORM);
}

void deliver_eof(Connection& c) {
  c.eof = true;
  notify(c.object, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
}

void deliver_reset(Connection& c, int error) {
  c.error = error;
  notify(c.object, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
}

void deliver_backlog(Connection& c, uint32_t bytes) {
  const uint32_t before = room(c);
  c.backlog = bytes;
  if (before == 0 && room(c) != 0 && !c.in_choked_list) notify(c.object, EPOLLOUT | EPOLLWRNORM);
}

void deliver_connected(Connection& c, int error) {
  c.connecting = false;
  c.error = error;
  notify(c.object, EPOLLOUT | EPOLLWRNORM | (error != 0 ? EPOLLERR | EPOLLHUP : 0));
}

void settle_inputs() {
  for (uint32_t i = 0; i < g_touched_count; ++i) {
    Connection* c = find_connection(g_touched[i]);
    if (c == nullptr || c->fresh_bytes == 0) continue;
    c->queue.append(c->fresh, c->fresh_bytes, UINT32_MAX);
    c->fresh = nullptr;
    c->fresh_bytes = 0;
    if (c->queue.size > wire::kReceiveWindowBytes && !c->paused) {
      c->paused = true;
      emit(c->chain, OutputKind::kPauseInput, c->channel);
    }
  }
  g_touched_count = 0;
}

void forget_inputs() { g_touched_count = 0; }

void release_choked() {
  Connection** link = &state().choked;
  while (Connection* c = *link) {
    if (room(*c) == 0) {
      link = &c->next_choked;
      continue;
    }
    *link = c->next_choked;
    c->in_choked_list = false;
    notify(c->object, EPOLLOUT | EPOLLWRNORM);
  }
}

bool any_choked_without_backlog() {
  for (const Connection* c = state().choked; c != nullptr; c = c->next_choked) {
    if (c->backlog == 0) return true;
  }
  return false;
}

}  // namespace evenkeel::kernel
