#pragma once
// What the servers of the zoo share: a listener on the loopback, threads for its connections, and
// lines in and out. None of it has a bug that is known.
// Threads: an answer function is called by one thread per connection, many at once.
// Memory: one buffer of 16 KiB per connection. Errors: exit status 1 if the server cannot start.
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace zoo {

constexpr int kMaxWords = 4;

// A line of a client, cut at its spaces; words that are missing are empty.
struct Request {
  const char* words[kMaxWords];
  [[nodiscard]] bool is(const char* command) const;
  [[nodiscard]] const char* word(int index) const { return words[index]; }
  [[nodiscard]] unsigned long number(int index) const;
};

struct Connection {
  int fd;
};

// Appends the answer, one line, without its end; the library adds that and sends the answers to all
// lines that came together in one piece.
using Answer = void (*)(Connection& connection, const Request& request, std::string& reply);

// `--port N`, then serves until a signal ends the process. Each connection has a thread of its own.
int serve_with_thread_per_connection(int argc, char** argv, Answer answer);

// The same with a fixed pool of workers: each takes a connection from a queue and serves it to its
// end, as a pre-threaded web server does.
int serve_with_worker_pool(int argc, char** argv, Answer answer);

// Starts a thread and detaches it; ends the process if there is none to be had.
void start_thread(void* (*run)(void*), void* argument);

// All of the bytes, to a blocking socket. False: the client is gone.
bool send_all(int fd, const char* bytes, size_t size);

// Work of the size that servers do between two steps: Fletcher's checksum of the bytes.
uint32_t checksum(const void* bytes, size_t size);

class Locked {
 public:
  explicit Locked(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Locked() { pthread_mutex_unlock(&mutex_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace zoo
