#include "runtime/kernel/device.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/random.h"

namespace evenkeel::kernel {
namespace {

struct Device {
  Object object;
  DeviceKind kind;
  uint32_t reserved;
};

struct Name {
  const char* path;
  DeviceKind kind;
  uint32_t minor;  // of major 1, "memory devices": Documentation/admin-guide/devices.txt
};
constexpr Name kNames[] = {
    {"/dev/null", DeviceKind::kNull, 3},      {"/dev/zero", DeviceKind::kZero, 5},
    {"/dev/full", DeviceKind::kFull, 7},      {"/dev/random", DeviceKind::kRandom, 8},
    {"/dev/urandom", DeviceKind::kRandom, 9},
};

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

DeviceKind kind_of(const Object& object) { return reinterpret_cast<const Device&>(object).kind; }

uint32_t readiness(const Object&) { return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM; }

long read_device(Object& object, const Buffers& out, uint32_t) {
  const DeviceKind kind = kind_of(object);
  if (kind == DeviceKind::kNull) return 0;
  for (uint32_t i = 0; i < out.count; ++i) {
    const iovec& v = out.vectors[i];
    if (kind == DeviceKind::kRandom) {
      random_bytes(v.iov_base, v.iov_len);
    } else {
      std::memset(v.iov_base, 0, v.iov_len);
    }
  }
  return static_cast<long>(out.total());
}

long write_device(Object& object, const Buffers& in) {
  if (kind_of(object) == DeviceKind::kFull && in.total() != 0) return -ENOSPC;
  return static_cast<long>(in.total());
}

void close_device(Object& object) { arena::destroy(&reinterpret_cast<Device&>(object)); }

constexpr ObjectOps kOps{readiness, read_device, write_device, close_device};

}  // namespace

DeviceKind find_device(const char* path) {
  for (const Name& name : kNames) {
    if (equal(path, name.path)) return name.kind;
  }
  return DeviceKind::kNone;
}

DeviceKind find_device(uint64_t number) {
  for (const Name& name : kNames) {
    if (number == makedev(1, name.minor)) return name.kind;
  }
  return DeviceKind::kNone;
}

Object* create_device(DeviceKind kind, uint32_t open_flags) {
  constexpr uint32_t kKept = O_ACCMODE | O_NONBLOCK | O_APPEND;
  Device* device = arena::create<Device>();
  device->kind = kind;
  init_object(device->object, ObjectType::kDevice, kOps, open_flags & kKept);
  return &device->object;
}

const char* device_path(const Object& object) {
  for (const Name& name : kNames) {
    if (name.kind == kind_of(object)) return name.path;
  }
  return "/dev/null";
}

}  // namespace evenkeel::kernel
