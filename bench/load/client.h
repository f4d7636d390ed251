#pragma once
// Drives the connections: one thread, epoll, each connection with its requests in flight.
// Threads: one. Memory: two buffers per connection. Errors: std::runtime_error when the server
// closes, resets or stays silent for too long.
#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/workload.h"

namespace evenkeel::load {

class Client {
 public:
  Client(const Options& options, Workload& workload);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // All requests of a phase, until all replies are in.
  void run(Phase phase, uint32_t pipeline, Histogram* latencies);

 private:
  struct Connection {
    int fd = -1;
    bool wants_out = false;
    uint64_t issued = 0;  // in this phase
    uint64_t total = 0;
    std::vector<Pending> ring;  // in flight: [first, first + in_flight), modulo its size
    size_t first = 0;
    size_t in_flight = 0;
    std::string output;
    size_t sent = 0;  // of output
    std::string input;
    size_t parsed = 0;  // of input
  };

  void connect(Connection& connection);
  void refill(uint32_t index);
  void flush(uint32_t index);
  void receive(uint32_t index);
  void parse(uint32_t index);
  void want_out(uint32_t index, bool on);
  void wait_and_serve();

  const Options& options_;
  Workload& workload_;
  std::vector<Connection> connections_;
  int epoll_ = -1;
  std::vector<char> scratch_;
  Reply reply_;
  Phase phase_ = Phase::kMain;
  uint32_t pipeline_ = 1;
  Histogram* latencies_ = nullptr;
  uint64_t now_ns_ = 0;
  uint64_t outstanding_ = 0;  // replies still to come in this phase
};

uint64_t monotonic_ns();

}  // namespace evenkeel::load
