#include "tests/support/memcache_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace evenkeel::test {
namespace {

constexpr uint8_t kNoopOpcode = 0x0a;
constexpr size_t kHeaderBytes = 24;
constexpr uint32_t kEndMark = 0xfeedbeef;

bool is_end_mark(std::string_view packet) {
  return static_cast<uint8_t>(packet[1]) == kNoopOpcode &&
         packet.substr(12, 4) == big_endian(kEndMark, 4);
}

size_t body_bytes(std::string_view header) {
  size_t bytes = 0;
  for (const char c : header.substr(8, 4)) bytes = bytes << 8 | static_cast<uint8_t>(c);
  return bytes;
}

}  // namespace

std::string big_endian(uint64_t value, size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = bytes; i-- != 0; value >>= 8) out[i] = static_cast<char>(value & 0xff);
  return out;
}

std::string BinaryRequest::bytes() const {
  const size_t body = extras.size() + key.size() + value.size();
  std::string out = "\x80";
  out += static_cast<char>(opcode);
  out += big_endian(key.size(), 2);
  out += static_cast<char>(extras.size());
  out += std::string(3, '\0');  // data type, reserved
  out += big_endian(body, 4) + big_endian(opaque, 4) + big_endian(cas, 8);
  return out.append(extras).append(key).append(value);
}

void MemcacheClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) throw std::runtime_error(std::string("send: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void MemcacheClient::shut_down_sending() const { shutdown(fd_.get(), SHUT_WR); }

bool MemcacheClient::receive_more() {
  pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  const auto timeout_ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  if (poll(&entry, 1, static_cast<int>(timeout_ms)) <= 0) {
    throw std::runtime_error("no answer; so far: " + input_.substr(0, 1000));
  }
  char buffer[64 << 10];
  const ssize_t bytes = recv(fd_.get(), buffer, sizeof buffer, 0);
  if (bytes < 0) throw std::runtime_error(std::string("recv: ") + std::strerror(errno));
  input_.append(buffer, static_cast<size_t>(bytes));
  return bytes != 0;
}

std::string MemcacheClient::receive(size_t bytes) {
  while (input_.size() < bytes) {
    if (!receive_more()) throw std::runtime_error("closed after: " + input_.substr(0, 1000));
  }
  std::string result = input_.substr(0, bytes);
  input_.erase(0, bytes);
  return result;
}

std::string MemcacheClient::receive_until(std::string_view end) {
  for (size_t from = 0;;) {
    const size_t at = input_.find(end, from);
    if (at != std::string::npos) return receive(at + end.size());
    from = input_.size() < end.size() ? 0 : input_.size() - end.size();
    if (!receive_more()) throw std::runtime_error("closed after: " + input_.substr(0, 1000));
  }
}

std::string MemcacheClient::receive_until_closed() {
  while (receive_more()) {
  }
  return std::move(input_);
}

std::string MemcacheClient::text(std::string_view commands) {
  send(std::string(commands) + "mn\r\n");
  std::string answer = receive_until("MN\r\n");
  answer.resize(answer.size() - 4);
  return answer;
}

std::string MemcacheClient::binary(std::string_view requests) {
  send(std::string(requests) + BinaryRequest{.opcode = kNoopOpcode, .opaque = kEndMark}.bytes());
  std::string answer;
  while (true) {
    std::string packet = receive(kHeaderBytes);
    packet += receive(body_bytes(packet));
    if (is_end_mark(packet)) return answer;
    answer += packet;
  }
}

}  // namespace evenkeel::test
