#pragma once
// A raw connection to a memcached-like server: bytes out, bytes in.
// Threads: one. Memory: what the server sends. Errors: std::runtime_error, also when an answer is
// not there in time.
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/support/ports.h"

namespace evenkeel::test {

class MemcacheClient {
 public:
  explicit MemcacheClient(uint16_t port) : fd_(connect_to(port)) {}

  void send(std::string_view bytes) const;
  void shut_down_sending() const;
  std::string receive(size_t bytes);
  std::string receive_until(std::string_view end);
  std::string receive_until_closed();

  // Sends text commands and returns all that they answer, noreply or not: a meta no-op behind them
  // marks the end.
  std::string text(std::string_view commands);
  // The same in the binary protocol, whose no-op is another.
  std::string binary(std::string_view requests);

 private:
  bool receive_more();  // false: closed by the server

  Fd fd_;
  std::string input_;
};

// A request of the binary protocol.
struct BinaryRequest {
  uint8_t opcode;
  std::string_view key = {};
  std::string_view extras = {};
  std::string_view value = {};
  uint32_t opaque = 0;
  uint64_t cas = 0;
  [[nodiscard]] std::string bytes() const;
};

std::string big_endian(uint64_t value, size_t bytes);

}  // namespace evenkeel::test
