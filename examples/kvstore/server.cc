#include "examples/kvstore/server.h"

#include <arpa/inet.h>
#include <evenkeel/annotate.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace kvstore {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kOutputLimit = 256 << 10;  // then the client has to read before it is served on
constexpr int kTurnReads = 4;               // then it is another connection's turn

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int check(int result, const char* what) {
  if (result < 0) fail(what);
  return result;
}

sockaddr_in address_of(const Options& options) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.listen.c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + options.listen);
  }
  return address;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

// False: the client is gone.
bool flush(Connection& connection) {
  while (connection.sent < connection.output.size()) {
    const ssize_t sent = send(connection.fd, connection.output.data() + connection.sent,
                              connection.output.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return would_block();
    connection.sent += static_cast<size_t>(sent);
  }
  connection.output.clear();
  connection.sent = 0;
  return true;
}

enum class Read { kSome, kNothingYet, kEnd, kGone };

Read read_some(Connection& connection) {
  char buffer[kReadBytes];
  ssize_t bytes = 0;
  do {
    bytes = recv(connection.fd, buffer, kReadBytes, 0);
  } while (bytes < 0 && errno == EINTR);
  if (bytes > 0) {
    connection.input.append(buffer, static_cast<size_t>(bytes));
    return Read::kSome;
  }
  if (bytes == 0) return Read::kEnd;
  return would_block() ? Read::kNothingYet : Read::kGone;
}

}  // namespace

Server::Server(const Options& options)
    : options_(options),
      store_(options.buckets, options.bug, options.work),
      service_{store_, options, std::vector<Counters>(options.threads)} {
  EVENKEEL_NAME(service_.counters.data(), service_.counters.size() * sizeof(Counters), "counters");
  pthread_mutex_init(&queue_lock_, nullptr);
  pthread_mutex_init(&connections_lock_, nullptr);
  pthread_cond_init(&queue_filled_, nullptr);
  listen();
  start_workers();
}

Server::~Server() {
  stop_workers();
  while (connections_ != nullptr) close(*connections_);
  if (epoll_ >= 0) ::close(epoll_);
  if (listener_ >= 0) ::close(listener_);
  pthread_cond_destroy(&queue_filled_);
  pthread_mutex_destroy(&connections_lock_);
  pthread_mutex_destroy(&queue_lock_);
}

void Server::listen() {
  const sockaddr_in address = address_of(options_);
  const int on = 1;
  listener_ = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  check(setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  check(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check(::listen(listener_, 1024), "listen");
  epoll_ = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  check(epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event), "epoll_ctl");
}

void Server::start_workers() {
  workers_.resize(options_.threads);
  for (pthread_t& worker : workers_) {
    errno = pthread_create(&worker, nullptr, work, this);
    if (errno != 0) fail("pthread_create");
  }
}

void Server::stop_workers() {
  pthread_mutex_lock(&queue_lock_);
  stopping_ = true;
  pthread_cond_broadcast(&queue_filled_);
  pthread_mutex_unlock(&queue_lock_);
  for (const pthread_t worker : workers_) pthread_join(worker, nullptr);
  workers_.clear();
}

void Server::run(int stop_fd) {
  epoll_event stop{.events = EPOLLIN, .data = {.ptr = this}};
  check(epoll_ctl(epoll_, EPOLL_CTL_ADD, stop_fd, &stop), "epoll_ctl");
  while (true) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == this) return;
      if (events[i].data.ptr == nullptr) {
        accept_all();
      } else {
        enqueue(static_cast<Connection*>(events[i].data.ptr));
      }
    }
  }
}

void Server::accept_all() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno == EINTR) continue;
    if (fd < 0) return;  // nobody there, or out of descriptors: the listener stays readable
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto* connection = new Connection;
    connection->fd = fd;
    pthread_mutex_lock(&connections_lock_);
    connection->next = connections_;
    if (connections_ != nullptr) connections_->previous = connection;
    connections_ = connection;
    pthread_mutex_unlock(&connections_lock_);
    arm(*connection, EPOLL_CTL_ADD, EPOLLIN);
  }
}

void Server::enqueue(Connection* connection) {
  pthread_mutex_lock(&queue_lock_);
  (queue_tail_ != nullptr ? queue_tail_->next_queued : queue_head_) = connection;
  queue_tail_ = connection;
  pthread_cond_signal(&queue_filled_);
  pthread_mutex_unlock(&queue_lock_);
}

Connection* Server::dequeue() {
  pthread_mutex_lock(&queue_lock_);
  while (queue_head_ == nullptr && !stopping_) pthread_cond_wait(&queue_filled_, &queue_lock_);
  Connection* connection = nullptr;
  if (!stopping_) {
    connection = queue_head_;
    queue_head_ = connection->next_queued;
    if (queue_head_ == nullptr) queue_tail_ = nullptr;
    connection->next_queued = nullptr;
  }
  pthread_mutex_unlock(&queue_lock_);
  return connection;
}

void* Server::work(void* argument) {
  Server& server = *static_cast<Server*>(argument);
  while (Connection* connection = server.dequeue()) server.serve(*connection);
  return nullptr;
}

// One turn of a connection. One-shot arming: until arm() no event for it is delivered; then it may
// be another worker's, so the brackets end before.
void Server::serve(Connection& connection) {
  {
    EVENKEEL_REQUEST_SCOPE(connection.fd);
    if (!exchange(connection)) return close(connection);
  }
  arm(connection, EPOLL_CTL_MOD, connection.output.empty() ? EPOLLIN : EPOLLOUT);
}

// False: the connection has come to its end.
bool Server::exchange(Connection& connection) {
  // Not a worker's: which worker it is, is chance.
  Counters& counters = service_.counters[static_cast<size_t>(connection.fd) % options_.threads];
  for (int reads = 0;;) {
    const size_t done = connection.session.execute(service_, counters, connection.input,
                                                   connection.output, kOutputLimit);
    connection.input.erase(0, done);
    if (!flush(connection)) return false;
    if (!connection.output.empty()) return true;
    if (done != 0) continue;
    if (connection.session.quits() || connection.ended) return false;
    if (reads++ == kTurnReads) return true;
    switch (read_some(connection)) {
      case Read::kSome:
        break;
      case Read::kNothingYet:
        return true;
      case Read::kEnd:
        connection.ended = true;
        break;
      case Read::kGone:
        return false;
    }
  }
}

void Server::arm(Connection& connection, int operation, uint32_t events) {
  epoll_event event{.events = events | EPOLLONESHOT, .data = {.ptr = &connection}};
  if (epoll_ctl(epoll_, operation, connection.fd, &event) < 0) close(connection);
}

void Server::close(Connection& connection) {
  ::close(connection.fd);
  pthread_mutex_lock(&connections_lock_);
  (connection.previous != nullptr ? connection.previous->next : connections_) = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  connection.previous = connection.next = nullptr;
  pthread_mutex_unlock(&connections_lock_);
  delete &connection;
}

}  // namespace kvstore
