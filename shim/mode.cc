#include "shim/mode.h"

#include <fcntl.h>

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

constinit Mode g_mode = Mode::kUndecided;

namespace {

// The environment block as the kernel gave it. Larger ones: variables beyond are not seen, so the
// coordinator puts its own first.
constexpr size_t kEnvironmentBytes = 256 << 10;
constinit char g_environment[kEnvironmentBytes];
constinit int g_deck_fd = -1;
constinit uint32_t g_replica = 0;

// Without it nobody can say what this process is, and guessing does harm: a replica that takes
// itself for the server would start a run of its own inside the run.
size_t read_environment() {
  constexpr size_t kRoom = kEnvironmentBytes - 1;
  const auto fd = sys::open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) EVENKEEL_DIE("cannot open /proc/self/environ", "errno", fd.err());
  size_t used = 0;
  while (used < kRoom) {
    const auto got = sys::read(static_cast<int>(fd.value()), g_environment + used, kRoom - used);
    if (!got.ok()) EVENKEEL_DIE("cannot read /proc/self/environ", "errno", got.err());
    if (got.value() == 0) break;
    used += static_cast<size_t>(got.value());
  }
  sys::close(static_cast<int>(fd.value())).ignore();
  return used;
}

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

// The value of `name` in the block of zero-terminated NAME=value strings, or null.
const char* find_variable(size_t bytes, const char* name) {
  for (const char* entry = g_environment; entry < g_environment + bytes;) {
    const char* at = entry;
    const char* wanted = name;
    while (*wanted != '\0' && *at == *wanted) ++at, ++wanted;
    if (*wanted == '\0' && *at == '=') return at + 1;
    while (*entry != '\0') ++entry;
    ++entry;
  }
  return nullptr;
}

bool is_this_program(const char* target) {
  char path[512] = {};
  constexpr size_t kRoom = sizeof path - 1;
  const auto length = sys::call(SYS_readlink, sys::arg("/proc/self/exe"), sys::arg(path), kRoom);
  if (!length.ok()) EVENKEEL_DIE("cannot read /proc/self/exe", "errno", length.err());
  const char* base = path;
  for (const char* at = path; *at != '\0'; ++at) {
    if (*at == '/') base = at + 1;
  }
  return equal(target, base);
}

int number(const char* text) {
  int value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

}  // namespace

Mode decide_mode() {
  const size_t bytes = read_environment();
  const char* target = find_variable(bytes, wire::kEnvTarget);
  const char* fd = find_variable(bytes, wire::kEnvDeckFd);
  const char* replica = find_variable(bytes, wire::kEnvReplica);
  if (target != nullptr && *target != '\0' && !is_this_program(target)) {
    g_mode = Mode::kPassive;
  } else if (fd != nullptr && replica != nullptr) {
    g_deck_fd = number(fd);
    g_replica = static_cast<uint32_t>(number(replica));
    g_mode = Mode::kReplica;
  } else {
    g_mode = Mode::kLaunch;
  }
  return g_mode;
}

int deck_fd() { return g_deck_fd; }
uint32_t replica_number() { return g_replica; }

}  // namespace evenkeel::shim
