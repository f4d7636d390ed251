#pragma once
// File descriptors: numbers to objects. Numbers are the virtual kernel's own (lowest free), no real
// descriptor stands behind most of them; the runtime's real descriptors are kept far above.
// Order: changes are ordered on the table's version word. Lookups are not: a server that closes a
// descriptor under another thread's call is racing in its own code.
// Errors: -EBADF; -EMFILE at the soft RLIMIT_NOFILE, at most kMaxFds.
#include <cstdint>

#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

constexpr int kMaxFds = 65536;
constexpr int kRuntimeFdBase = 70000;  // the runtime's own real descriptors are moved here or above,
                                       // or as high as RLIMIT_NOFILE allows

void init_fds();
// Null if not open.
[[nodiscard]] Object* object_of(int fd);
template <typename T>
[[nodiscard]] T* object_as(int fd, ObjectType type) {
  Object* object = object_of(fd);
  return object != nullptr && object->type == type ? reinterpret_cast<T*>(object) : nullptr;
}

// Each takes its ordered turn and the lock itself. install() takes over one reference of the object
// (released if the table is full).
[[nodiscard]] long install(Object& object, bool close_on_exec, int lowest = 0);
long close_fd(int fd);
long duplicate(int fd, int lowest, bool close_on_exec);          // dup, F_DUPFD
long duplicate_to(int fd, int target, bool close_on_exec);       // dup2, dup3
// The open descriptor refers to another object from now on; takes over one reference.
void replace(int fd, Object& object);
[[nodiscard]] bool close_on_exec(int fd);
void set_close_on_exec(int fd, bool on);
// At init: fd is open with this object, in no order.
void preinstall(int fd, Object& object);
void set_fd_limit(uint32_t soft);
// The command ends: numbers that annotated requests have closed in it are free from now on.
void end_descriptors();
// First open fd >= from, or -1.
[[nodiscard]] int next_open_fd(int from);

}  // namespace evenkeel::kernel
