// A small server that uses single annotations. One thread per connection; each line is a command.
//
//   plain    counts under a lock; answers the count
//   hold     the same, but waits for its group with the lock in hand
//   relaxed  stores the cycle counter, which differs between replicas, in relaxed bytes
//   unrelax  stores it there and ends their being relaxed
//   named    stores it in an object with a name
//
// usage: annotated_server PORT
#include <arpa/inet.h>
#include <evenkeel/annotate.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace {

std::mutex counter_lock;
uint64_t counter = 0;
auto* const relaxed = new uint64_t(0);
auto* const named = new uint64_t(0);

std::string count() { return std::to_string(++counter) + "\n"; }

std::string answer(const std::string& line) {
  if (line == "plain") {
    const std::lock_guard guard(counter_lock);
    return count();
  }
  if (line == "hold") {
    const std::lock_guard guard(counter_lock);
    EVENKEEL_WRITES("counter", "", 0);
    EVENKEEL_READY();
    return count();
  }
  if (line == "relaxed" || line == "unrelax") *relaxed = __rdtsc();
  if (line == "unrelax") EVENKEEL_RELAXED_END(relaxed, sizeof *relaxed);
  if (line == "named") *named = __rdtsc();
  return line + "\n";
}

void serve(int fd) {
  std::string input;
  char buffer[512];
  for (ssize_t bytes = 0; (bytes = read(fd, buffer, sizeof buffer)) > 0;) {
    EVENKEEL_REQUEST_SCOPE(fd);
    input.append(buffer, static_cast<size_t>(bytes));
    for (size_t end = 0; (end = input.find('\n')) != std::string::npos;) {
      const std::string text = answer(input.substr(0, end));
      input.erase(0, end + 1);
      if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) break;
    }
  }
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  signal(SIGTERM, [](int) { _exit(0); });
  EVENKEEL_RELAXED_BEGIN(relaxed, sizeof *relaxed, "cycles");
  EVENKEEL_NAME(named, sizeof *named, "the clock");
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return 1;
  if (listen(listener, 64) < 0) return 1;
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd >= 0) std::thread(serve, fd).detach();
  }
}
