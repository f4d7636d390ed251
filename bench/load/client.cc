#include "bench/load/client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>

namespace evenkeel::load {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kMaxUnsentBytes = 1 << 20;  // more requests wait until these are on their way

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

Client::Client(const Options& options, Workload& workload)
    : options_(options),
      workload_(workload),
      connections_(options.connections),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      scratch_(kReadBytes) {
  if (epoll_ < 0) fail("epoll_create1");
  for (uint32_t i = 0; i < options.connections; ++i) {
    connect(connections_[i]);
    epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event) < 0) fail("epoll_ctl");
  }
}

Client::~Client() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close(connection.fd);
  }
  if (epoll_ >= 0) close(epoll_);
}

void Client::connect(Connection& connection) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + options_.host);
  }
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) fail("socket");
  if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    fail("connect");
  }
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (fcntl(connection.fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
}

void Client::run(Phase phase, uint32_t pipeline, Histogram* latencies) {
  phase_ = phase;
  pipeline_ = pipeline;
  latencies_ = latencies;
  outstanding_ = 0;
  now_ns_ = monotonic_ns();
  for (uint32_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[i];
    connection.issued = 0;
    connection.total = workload_.count(phase, i);
    connection.ring.resize(pipeline);
    connection.first = connection.in_flight = 0;
    outstanding_ += connection.total;
  }
  for (uint32_t i = 0; i < connections_.size(); ++i) refill(i);
  while (outstanding_ != 0) wait_and_serve();
}

void Client::wait_and_serve() {
  epoll_event events[256];
  const int timeout_ms = static_cast<int>(options_.timeout_s) * 1000;
  const int count = epoll_wait(epoll_, events, 256, timeout_ms);
  if (count < 0 && errno == EINTR) return;
  if (count < 0) fail("epoll_wait");
  if (count == 0) {
    throw std::runtime_error("no answer for " + std::to_string(options_.timeout_s) + " s, " +
                             std::to_string(outstanding_) + " outstanding");
  }
  now_ns_ = monotonic_ns();
  for (int i = 0; i < count; ++i) {
    const uint32_t index = events[i].data.u32;
    if ((events[i].events & EPOLLOUT) != 0) refill(index);
    if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) receive(index);
  }
}

void Client::refill(uint32_t index) {
  Connection& connection = connections_[index];
  while (connection.in_flight < pipeline_ && connection.issued < connection.total &&
         connection.output.size() - connection.sent < kMaxUnsentBytes) {
    Pending pending = workload_.issue(phase_, index, connection.issued++, connection.output);
    pending.sent_ns = now_ns_;
    connection.ring[(connection.first + connection.in_flight++) % pipeline_] = pending;
  }
  flush(index);
}

void Client::flush(uint32_t index) {
  Connection& connection = connections_[index];
  while (connection.sent < connection.output.size()) {
    const ssize_t sent = send(connection.fd, connection.output.data() + connection.sent,
                              connection.output.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return want_out(index, true);
    if (sent < 0) fail("send");
    connection.sent += static_cast<size_t>(sent);
  }
  connection.output.clear();
  connection.sent = 0;
  want_out(index, false);
}

void Client::want_out(uint32_t index, bool on) {
  Connection& connection = connections_[index];
  if (connection.wants_out == on) return;
  connection.wants_out = on;
  epoll_event event{.events = EPOLLIN, .data = {.u32 = index}};
  if (on) event.events |= EPOLLOUT;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event) < 0) fail("epoll_ctl");
}

void Client::receive(uint32_t index) {
  Connection& connection = connections_[index];
  const ssize_t bytes = recv(connection.fd, scratch_.data(), scratch_.size(), 0);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes < 0) fail("recv");
  if (bytes == 0) throw std::runtime_error("the server closed a connection");
  connection.input.append(scratch_.data(), static_cast<size_t>(bytes));
  parse(index);
  refill(index);
}

void Client::parse(uint32_t index) {
  Connection& connection = connections_[index];
  const std::string_view input = connection.input;
  while (connection.parsed < input.size()) {
    const size_t used = parse_reply(input.substr(connection.parsed), reply_);
    if (used == 0) break;
    if (connection.in_flight == 0) throw std::runtime_error("an answer that nobody asked for");
    const Pending& pending = connection.ring[connection.first];
    if (latencies_ != nullptr) latencies_->add(now_ns_ - pending.sent_ns);
    workload_.check(index, pending, reply_);
    if (reply_.malformed) throw std::runtime_error("malformed: " + std::string(reply_.line));
    connection.parsed += used;
    connection.first = (connection.first + 1) % pipeline_;
    --connection.in_flight;
    --outstanding_;
  }
  connection.input.erase(0, connection.parsed);
  connection.parsed = 0;
}

}  // namespace evenkeel::load
