#pragma once
// Datagram sockets, of which only one use is known: syslog(3).
#include <sys/socket.h>

#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

[[nodiscard]] bool is_syslog_address(const sockaddr* address, uint32_t bytes);
// Takes the lock itself. The object's datagrams become OutputKind::kSyslog records.
[[nodiscard]] Object* create_syslog(uint32_t status_flags);

}  // namespace evenkeel::kernel
