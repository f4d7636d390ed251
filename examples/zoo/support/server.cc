#include "examples/zoo/support/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace zoo {
namespace {

constexpr size_t kInputBytes = 16 << 10;  // a longer line ends its connection
constexpr int kWorkers = 16;
constexpr int kQueuedConnections = 64;  // accepted, and not served yet

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "zoo: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

uint16_t port_of(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--port") == 0) {
    return static_cast<uint16_t>(std::strtoul(argv[2], nullptr, 10));
  }
  std::fprintf(stderr, "usage: %s --port N\n", argv[0]);
  std::exit(2);
}

int listen_on(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) fail("bind");
  if (listen(fd, 128) < 0) fail("listen");
  return fd;
}

int accept_next(int listener) {
  while (true) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) fail("accept");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
}

Request cut(char* line) {
  Request request{};
  char* rest = nullptr;
  char* word = strtok_r(line, " \r", &rest);
  for (const char*& slot : request.words) {
    slot = word == nullptr ? "" : word;
    if (word != nullptr) word = strtok_r(nullptr, " \r", &rest);
  }
  return request;
}

// Answers every complete line of the input; returns how many bytes these were.
size_t answer_lines(Connection& connection, Answer answer, char* input, size_t size) {
  std::string replies;
  size_t done = 0;
  while (char* end = static_cast<char*>(std::memchr(input + done, '\n', size - done))) {
    *end = '\0';
    const Request request = cut(input + done);
    answer(connection, request, replies);
    replies += '\n';
    done = static_cast<size_t>(end - input) + 1;
  }
  if (!send_all(connection.fd, replies.data(), replies.size())) return 0;
  return done;
}

void serve(int fd, Answer answer) {
  Connection connection{fd};
  auto* input = static_cast<char*>(std::malloc(kInputBytes));
  size_t size = 0;
  while (size < kInputBytes) {
    const ssize_t bytes = recv(fd, input + size, kInputBytes - size, 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    size += static_cast<size_t>(bytes);
    const size_t done = answer_lines(connection, answer, input, size);
    std::memmove(input, input + done, size - done);
    size -= done;
  }
  std::free(input);
  close(fd);
}

struct Served {
  int fd;
  Answer answer;
};

void* serve_one(void* argument) {
  const Served served = *static_cast<Served*>(argument);
  std::free(argument);
  serve(served.fd, served.answer);
  return nullptr;
}

struct Pool {
  Answer answer;
  pthread_mutex_t lock;
  pthread_cond_t filled;
  pthread_cond_t drained;
  int queue[kQueuedConnections];
  int first;
  int count;
};

Pool pool;

void put(int fd) {
  const Locked locked(pool.lock);
  while (pool.count == kQueuedConnections) pthread_cond_wait(&pool.drained, &pool.lock);
  pool.queue[(pool.first + pool.count++) % kQueuedConnections] = fd;
  pthread_cond_signal(&pool.filled);
}

int take() {
  const Locked locked(pool.lock);
  while (pool.count == 0) pthread_cond_wait(&pool.filled, &pool.lock);
  const int fd = pool.queue[pool.first];
  pool.first = (pool.first + 1) % kQueuedConnections;
  --pool.count;
  pthread_cond_signal(&pool.drained);
  return fd;
}

void* work(void*) {
  while (true) serve(take(), pool.answer);
}

}  // namespace

bool Request::is(const char* command) const { return std::strcmp(words[0], command) == 0; }

unsigned long Request::number(int index) const { return std::strtoul(words[index], nullptr, 10); }

int serve_with_thread_per_connection(int argc, char** argv, Answer answer) {
  const int listener = listen_on(port_of(argc, argv));
  while (true) {
    auto* served = static_cast<Served*>(std::malloc(sizeof(Served)));
    *served = {accept_next(listener), answer};
    start_thread(serve_one, served);
  }
}

int serve_with_worker_pool(int argc, char** argv, Answer answer) {
  const int listener = listen_on(port_of(argc, argv));
  pool.answer = answer;
  pthread_mutex_init(&pool.lock, nullptr);
  pthread_cond_init(&pool.filled, nullptr);
  pthread_cond_init(&pool.drained, nullptr);
  for (int i = 0; i < kWorkers; ++i) start_thread(work, nullptr);
  while (true) put(accept_next(listener));
}

void start_thread(void* (*run)(void*), void* argument) {
  pthread_t thread{};
  errno = pthread_create(&thread, nullptr, run, argument);
  if (errno != 0) fail("pthread_create");
  pthread_detach(thread);
}

bool send_all(int fd, const char* bytes, size_t size) {
  while (size != 0) {
    const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

uint32_t checksum(const void* bytes, size_t size) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  uint32_t low = 1;
  uint32_t high = 0;
  for (size_t i = 0; i < size; ++i) {
    low = (low + byte[i]) % 65521;
    high = (high + low) % 65521;
  }
  return high << 16 | low;
}

}  // namespace zoo
