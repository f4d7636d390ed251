#include "tests/support/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace evenkeel::test {
namespace {

constexpr uint32_t kFirstPort = 15000;
constexpr uint32_t kPorts = 15000;  // the kernel's own begin at 32768
constexpr std::chrono::milliseconds kRetryInterval{5};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool is_free(uint16_t port) {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
         listen(fd.get(), 1) == 0;
}

// -1 and errno if nobody listens.
int try_connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

uint16_t free_port() {
  // Test programs run side by side: each begins elsewhere.
  static uint32_t next = static_cast<uint32_t>(getpid()) * 131;
  for (uint32_t i = 0; i < kPorts; ++i) {
    const auto port = static_cast<uint16_t>(kFirstPort + next++ % kPorts);
    if (is_free(port)) return port;
  }
  throw std::runtime_error("no free port");
}

void wait_for_port(uint16_t port, Process& server, Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const Fd fd(try_connect(port));
    if (fd.get() >= 0) return;
    const bool ended = server.wait_until_ended(kRetryInterval);
    if (!ended && std::chrono::steady_clock::now() < deadline) continue;
    throw std::runtime_error((ended ? "the server ended: " : "nobody listens: ") + server.err());
  }
}

Fd connect_to(uint16_t port) {
  Fd fd(try_connect(port));
  if (fd.get() < 0) throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

}  // namespace evenkeel::test
