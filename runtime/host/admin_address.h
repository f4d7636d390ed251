#pragma once
// Where the live view listens, and what it may be called.
#include <cstdint>
#include <string>

namespace evenkeel::host {

struct AdminAddress {
  std::string host;   // "127.0.0.1" or "::1"; empty: no live view
  uint16_t port = 0;  // 0: any that is free, which is said
};

// Throws std::invalid_argument: not ADDRESS:PORT, or not of the loopback.
[[nodiscard]] AdminAddress parse_admin_address(const std::string& text);

// Browsers send what the user typed: a name that another site's DNS makes ours is refused.
[[nodiscard]] bool is_local_host_header(const std::string& host);

}  // namespace evenkeel::host
