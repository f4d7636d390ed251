#include "runtime/kernel/syslog.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/output.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

struct Syslog {
  Object object;
  OutputChain chain;
};

// Where log daemons listen; the second is systemd's name for it.
constexpr const char* kAddresses[] = {"/dev/log", "/run/systemd/journal/dev-log"};
// A datagram beyond it is refused as Linux refuses one beyond the socket's buffer (net.core.wmem
// defaults to 208 KiB).
constexpr size_t kMaxDatagramBytes = 64 << 10;

uint32_t readiness(const Object&) { return EPOLLOUT | EPOLLWRNORM; }
long read_syslog(Object&, const Buffers&, uint32_t) { return -EAGAIN; }  // the log never answers

long write_syslog(Object& object, const Buffers& in) {
  const size_t bytes = in.total();
  if (bytes > kMaxDatagramBytes) return -EMSGSIZE;
  if (bytes > output_room()) return -ENOBUFS;
  emit(reinterpret_cast<Syslog&>(object).chain, wire::OutputKind::kSyslog, 0, in,
       static_cast<uint32_t>(bytes));
  return static_cast<long>(bytes);
}

void close_syslog(Object& object) { arena::destroy(&reinterpret_cast<Syslog&>(object)); }

constexpr ObjectOps kOps{readiness, read_syslog, write_syslog, close_syslog};

bool path_equals(const sockaddr_un& address, size_t path_bytes, const char* path) {
  size_t i = 0;
  for (; path[i] != '\0'; ++i) {
    if (i >= path_bytes || address.sun_path[i] != path[i]) return false;
  }
  return i == path_bytes || address.sun_path[i] == '\0';
}

}  // namespace

bool is_syslog_address(const sockaddr* address, uint32_t bytes) {
  constexpr size_t kHead = offsetof(sockaddr_un, sun_path);
  if (address == nullptr || bytes <= kHead || bytes > sizeof(sockaddr_un)) return false;
  sockaddr_un name{};
  std::memcpy(&name, address, bytes);
  if (name.sun_family != AF_UNIX) return false;
  for (const char* path : kAddresses) {
    if (path_equals(name, bytes - kHead, path)) return true;
  }
  return false;
}

Object* create_syslog(uint32_t status_flags) {
  sched::Guard guard;
  Syslog* syslog = arena::create<Syslog>();
  init_object(syslog->object, ObjectType::kSyslog, kOps, status_flags | O_RDWR);
  return &syslog->object;
}

}  // namespace evenkeel::kernel
