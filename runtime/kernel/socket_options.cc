#include "runtime/kernel/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {
namespace {

constexpr int32_t kDefaultBuffer = 212992;  // net.core.wmem_default

wire::BindArguments::Option* find(SocketOptions& options, int level, int name) {
  for (uint32_t i = 0; i < options.count; ++i) {
    if (options.set[i].level == level && options.set[i].name == name) return &options.set[i];
  }
  return nullptr;
}

long answer(int32_t value, void* out, uint32_t* bytes) {
  *bytes = std::min<uint32_t>(*bytes, sizeof value);
  std::memcpy(out, &value, *bytes);
  return 0;
}

// What an option reads as when it was never set.
bool default_of(int level, int name, int32_t& value) {
  value = 0;
  if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF)) value = kDefaultBuffer;
  if (level == IPPROTO_TCP && name == TCP_MAXSEG) value = 32768;
  if (level == IPPROTO_TCP && name == TCP_KEEPIDLE) value = 7200;
  if (level == IPPROTO_TCP && name == TCP_KEEPINTVL) value = 75;
  if (level == IPPROTO_TCP && name == TCP_KEEPCNT) value = 9;
  return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP ||
         level == IPPROTO_IPV6;
}

bool doubled(int level, int name) {
  return level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF);
}

}  // namespace

SocketOptions* create_options(int domain, int type, int protocol) {
  auto* options = arena::create<SocketOptions>();
  options->domain = domain;
  options->type = type;
  options->protocol = protocol;
  return options;
}

SocketOptions* copy_options(const SocketOptions& from) {
  auto* options = arena::create<SocketOptions>();
  *options = from;
  return options;
}

void destroy_options(SocketOptions* options) { arena::destroy(options); }

long set_option(SocketOptions& options, int level, int name, const void* value, uint32_t bytes) {
  int32_t ignored = 0;
  if (!default_of(level, name, ignored)) return -ENOPROTOOPT;
  if (value == nullptr) return -EFAULT;
  auto* option = find(options, level, name);
  if (bytes > sizeof option->value) return -EINVAL;
  if (option == nullptr) {
    if (options.count == kMaxOptions) {
      count_unhandled("more than 16 options on one socket");
      return 0;
    }
    option = &options.set[options.count++];
  }
  option->level = level;
  option->name = name;
  option->bytes = bytes;
  std::memcpy(option->value, value, bytes);
  return 0;
}

long get_option(const SocketOptions& options, int level, int name, void* value, uint32_t* bytes,
                int error, bool listening) {
  if (level == SOL_SOCKET && name == SO_ERROR) return answer(error, value, bytes);
  if (level == SOL_SOCKET && name == SO_TYPE) return answer(options.type, value, bytes);
  if (level == SOL_SOCKET && name == SO_DOMAIN) return answer(options.domain, value, bytes);
  if (level == SOL_SOCKET && name == SO_ACCEPTCONN) return answer(listening, value, bytes);
  if (level == SOL_SOCKET && name == SO_PROTOCOL) {
    const int protocol = options.domain == AF_UNIX ? 0 : IPPROTO_TCP;
    return answer(protocol, value, bytes);
  }
  const auto* option = find(const_cast<SocketOptions&>(options), level, name);
  int32_t fallback = 0;
  if (option == nullptr) {
    return default_of(level, name, fallback) ? answer(fallback, value, bytes) : -ENOPROTOOPT;
  }
  if (doubled(level, name) && option->bytes == sizeof(int32_t)) {
    int32_t set = 0;  // Linux doubles the value to allow for its own overhead: socket(7)
    std::memcpy(&set, option->value, sizeof set);
    return answer(set * 2, value, bytes);
  }
  *bytes = std::min(*bytes, option->bytes);
  std::memcpy(value, option->value, *bytes);
  return 0;
}

}  // namespace evenkeel::kernel
