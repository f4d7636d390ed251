#pragma once
// Socket options that the server set, as it will read them back.
#include <sys/socket.h>

#include <cstdint>

#include "runtime/wire.h"

namespace evenkeel::kernel {

// More options than this on one socket are accepted and forgotten, counted as unhandled.
constexpr uint32_t kMaxOptions = 16;

struct SocketOptions {
  int32_t domain, type, protocol;
  uint32_t count;
  wire::BindArguments::Option set[kMaxOptions];
};

[[nodiscard]] SocketOptions* create_options(int domain, int type, int protocol);
[[nodiscard]] SocketOptions* copy_options(const SocketOptions& from);
void destroy_options(SocketOptions* options);
long set_option(SocketOptions& options, int level, int name, const void* value, uint32_t bytes);
// `error` and `listening` answer SO_ERROR and SO_ACCEPTCONN.
long get_option(const SocketOptions& options, int level, int name, void* value, uint32_t* bytes,
                int error, bool listening);

}  // namespace evenkeel::kernel
