#pragma once
// One event thread (accept, epoll) and a pool of workers behind a queue.
// Threads: run() on the event thread, work() on each worker. A connection is armed in epoll, or in
//          the queue, or in a worker's hands: so its requests stay in order and need no lock.
// Memory:  a connection is freed by the worker that closes it, or by the destructor.
// Errors:  std::system_error if the server cannot start.
#include <pthread.h>

#include <string>
#include <vector>

#include "examples/kvstore/protocol.h"

namespace kvstore {

struct Connection {
  int fd = -1;
  Session session;
  std::string input;
  std::string output;
  size_t sent = 0;     // of output
  bool ended = false;  // the client will send no more
  // Lists lead through the connections themselves: what they hold when the server is at rest does
  // not depend on who came and went in what order.
  Connection* next_queued = nullptr;
  Connection* previous = nullptr;
  Connection* next = nullptr;
};

class Server {
 public:
  explicit Server(const Options& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void run(int stop_fd);  // until stop_fd is readable

 private:
  void listen();
  void start_workers();
  void stop_workers();
  void accept_all();
  void enqueue(Connection* connection);
  Connection* dequeue();  // null: the pool stops
  static void* work(void* server);
  void serve(Connection& connection);
  bool exchange(Connection& connection);
  void arm(Connection& connection, int operation, uint32_t events);
  void close(Connection& connection);

  const Options& options_;
  Store store_;
  Service service_;
  int listener_ = -1;
  int epoll_ = -1;
  std::vector<pthread_t> workers_;

  pthread_mutex_t queue_lock_;
  pthread_cond_t queue_filled_;
  Connection* queue_head_ = nullptr;
  Connection* queue_tail_ = nullptr;
  bool stopping_ = false;  // queue_lock_

  pthread_mutex_t connections_lock_;
  Connection* connections_ = nullptr;
};

}  // namespace kvstore
