#include "bench/zoo/clients.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "bench/zoo/loopback.h"

namespace evenkeel::zoo {
namespace {

constexpr size_t kReadBytes = 64 << 10;

// -1: refused.
int connect_to(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error(fmt::format("socket: {}", std::strerror(errno)));
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
  close(fd);
  return -1;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) throw Outage(fmt::format("sending: {}", std::strerror(errno)));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

}  // namespace

bool accepts(uint16_t port) {
  const int fd = connect_to(port);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

Clients::Clients(uint16_t port, size_t count, Milliseconds deadline)
    : deadline_(deadline), connections_(count) {
  for (Connection& connection : connections_) {
    connection.fd = connect_to(port);
    if (connection.fd < 0) throw Outage("connection refused");
  }
}

Clients::~Clients() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close(connection.fd);
  }
}

std::vector<Lines> Clients::exchange(const std::vector<Lines>& lines) {
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string bytes;
    for (const std::string& line : lines[i]) bytes += line + '\n';
    connections_[i].missing = lines[i].size();
    connections_[i].answers.clear();
    send_all(connections_[i].fd, bytes);
  }
  while (true) {
    size_t missing = 0;
    for (const Connection& connection : connections_) missing += connection.missing;
    if (missing == 0) break;
    receive_some();
  }
  std::vector<Lines> answers;
  for (Connection& connection : connections_) answers.push_back(std::move(connection.answers));
  return answers;
}

Lines Clients::ask(size_t connection, const Lines& lines) {
  std::vector<Lines> all(connections_.size());
  all[connection] = lines;
  return exchange(all)[connection];
}

void Clients::receive_some() {
  std::vector<pollfd> polled;
  for (const Connection& connection : connections_) {
    polled.push_back({connection.missing != 0 ? connection.fd : -1, POLLIN, 0});
  }
  const int ready = poll(polled.data(), polled.size(), static_cast<int>(deadline_.count()));
  if (ready < 0 && errno != EINTR) throw std::runtime_error("poll");
  if (ready == 0) throw Outage(fmt::format("no answer for {} ms", deadline_.count()));
  for (size_t i = 0; i < polled.size(); ++i) {
    if (polled[i].revents != 0) receive(connections_[i]);
  }
}

void Clients::receive(Connection& connection) {
  char bytes[kReadBytes];
  const ssize_t size = recv(connection.fd, bytes, sizeof bytes, 0);
  if (size < 0 && errno == EINTR) return;
  if (size < 0) throw Outage(fmt::format("receiving: {}", std::strerror(errno)));
  if (size == 0) throw Outage("connection closed");
  connection.input.append(bytes, static_cast<size_t>(size));
  size_t begin = 0;
  for (size_t end; (end = connection.input.find('\n', begin)) != std::string::npos;) {
    connection.answers.push_back(connection.input.substr(begin, end - begin));
    if (connection.missing == 0) throw Outage("an answer that nobody asked for");
    --connection.missing;
    begin = end + 1;
  }
  connection.input.erase(0, begin);
}

}  // namespace evenkeel::zoo
