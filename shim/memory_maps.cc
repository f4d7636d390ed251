#include "shim/memory_maps.h"

#include <fcntl.h>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"

namespace evenkeel::shim {
namespace {

uint64_t parse_hex(char*& at) {
  uint64_t value = 0;
  for (;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return value;
    }
  }
}

char* skip_word(char* at) {
  while (*at != ' ' && *at != '\n' && *at != '\0') ++at;
  while (*at == ' ') ++at;
  return at;
}

}  // namespace

size_t read_maps(char* buffer, size_t room) {
  const auto fd = sys::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) EVENKEEL_DIE("cannot open /proc/self/maps", "errno", fd.err());
  size_t used = 0;
  for (;;) {
    const auto got = sys::read(static_cast<int>(fd.value()), buffer + used, room - 1 - used);
    if (!got.ok()) EVENKEEL_DIE("cannot read /proc/self/maps", "errno", got.err());
    if (got.value() == 0) break;
    used += static_cast<size_t>(got.value());
    if (used == room - 1) EVENKEEL_DIE("more mappings than expected", "bytes", room);
  }
  sys::close(static_cast<int>(fd.value())).ignore();
  buffer[used] = '\0';
  return used;
}

// begin-end perms offset device inode path
char* parse_mapping(char* at, Mapping& out) {
  if (*at == '\0') return nullptr;
  out.begin = parse_hex(at);
  ++at;
  out.end = parse_hex(at);
  ++at;
  out.readable = at[0] == 'r';
  out.writable = at[1] == 'w';
  out.executable = at[2] == 'x';
  out.shared = at[3] == 's';
  at = skip_word(at);
  out.offset = parse_hex(at);
  at = skip_word(skip_word(skip_word(at)));
  out.path = at;
  while (*at != '\n' && *at != '\0') ++at;
  if (*at == '\n') *at++ = '\0';
  return at;
}

}  // namespace evenkeel::shim
