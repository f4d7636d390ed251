#pragma once
// Connections to a server that answers every line with a line.
// Threads: one. Memory: what the server sends.
// Errors: Outage when the server refuses, closes, resets or stays silent for too long.
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/zoo/process.h"

namespace evenkeel::zoo {

using Lines = std::vector<std::string>;

// What a client takes for "the server is down".
struct Outage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Clients {
 public:
  Clients(uint16_t port, size_t count, Milliseconds deadline);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  [[nodiscard]] size_t count() const { return connections_.size(); }

  // Sends lines[i] to connection i, to all before the first answer is waited for; then waits until
  // everybody has as many answers as lines. Silence of all for the deadline is an outage.
  std::vector<Lines> exchange(const std::vector<Lines>& lines);

  // The same for one connection, while the others rest.
  Lines ask(size_t connection, const Lines& lines);

 private:
  struct Connection {
    int fd = -1;
    std::string input;
    size_t missing = 0;  // answers
    Lines answers;
  };

  void receive_some();
  static void receive(Connection& connection);

  Milliseconds deadline_;
  std::vector<Connection> connections_;
};

// True once somebody accepts connections there.
bool accepts(uint16_t port);

}  // namespace evenkeel::zoo
