#include "shim/mode.h"

#include <fcntl.h>

#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

constinit Mode g_mode = Mode::kUndecided;

namespace {

// The environment block as the kernel gave it. Larger ones: variables beyond are not seen, so the
// coordinator puts its own first.
constexpr size_t kEnvironmentBytes = 256 << 10;
constinit char g_environment[kEnvironmentBytes];
constinit char g_program[256];
constinit int g_deck_fd = -1;
constinit uint32_t g_replica = 0;

size_t read_file(const char* path, char* out, size_t room) {
  const auto fd = sys::open(path, O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) return 0;
  size_t used = 0;
  while (used < room) {
    const auto got = sys::read(static_cast<int>(fd.value()), out + used, room - used);
    if (!got.ok() || got.value() == 0) break;
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

void read_program_name() {
  char path[512] = {};
  constexpr size_t kRoom = sizeof path - 1;
  const auto length = sys::call(SYS_readlink, sys::arg("/proc/self/exe"), sys::arg(path), kRoom);
  if (!length.ok()) return;
  const char* base = path;
  for (const char* at = path; *at != '\0'; ++at) {
    if (*at == '/') base = at + 1;
  }
  for (size_t i = 0; i + 1 < sizeof g_program && base[i] != '\0'; ++i) g_program[i] = base[i];
}

int number(const char* text) {
  int value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

}  // namespace

Mode decide_mode() {
  const size_t bytes = read_file("/proc/self/environ", g_environment, kEnvironmentBytes - 1);
  read_program_name();
  const char* target = find_variable(bytes, wire::kEnvTarget);
  const char* fd = find_variable(bytes, wire::kEnvDeckFd);
  const char* replica = find_variable(bytes, wire::kEnvReplica);
  if (target != nullptr && *target != '\0' && !equal(target, g_program)) {
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
const char* program_name() { return g_program; }

}  // namespace evenkeel::shim
