#include "runtime/host/admin_address.h"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>
#include <utility>

namespace evenkeel::host {
namespace {

// "127.0.0.1:80", "[::1]:80", "localhost:80", or without the port.
std::pair<std::string, std::string> split_port(const std::string& text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return {text, ""};
    const bool port = end + 1 < text.size() && text[end + 1] == ':';
    return {text.substr(1, end - 1), port ? text.substr(end + 2) : ""};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool is_loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

}  // namespace

AdminAddress parse_admin_address(const std::string& text) {
  const auto [host, port_text] = split_port(text);
  if (!is_loopback(host)) {
    throw std::invalid_argument(fmt::format(
        "'{}' is not a loopback address: use 127.0.0.1:PORT, and a tunnel from elsewhere", text));
  }
  uint16_t port = 0;
  const char* end = port_text.data() + port_text.size();
  const auto [stop, error] = std::from_chars(port_text.data(), end, port);
  if (port_text.empty() || error != std::errc{} || stop != end) {
    throw std::invalid_argument(fmt::format("'{}' has no port: use 127.0.0.1:PORT", text));
  }
  return {host == "localhost" ? "127.0.0.1" : host, port};
}

bool is_local_host_header(const std::string& host) { return is_loopback(split_port(host).first); }

}  // namespace evenkeel::host
