#include "shim/memory_maps.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/core/text.h"

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
  at = skip_word(at);
  const auto major = static_cast<unsigned>(parse_hex(at));
  ++at;
  out.device = makedev(major, static_cast<unsigned>(parse_hex(at)));
  at = skip_word(at);
  out.inode = 0;
  for (; *at >= '0' && *at <= '9'; ++at)
    out.inode = out.inode * 10 + static_cast<uint64_t>(*at - '0');
  at = skip_word(at);
  out.path = at;
  while (*at != '\n' && *at != '\0') ++at;
  if (*at == '\n') *at++ = '\0';
  return at;
}

sys::Result for_each_mapping(int pid, void (*visit)(void* context, const Mapping& mapping),
                             void* context) {
  // A line has a path of 4 KiB at most; /proc gives whole lines, a page at a time.
  static constinit char window[16 << 10];
  Text<64> path;
  path.add("/proc/").add(pid).add("/maps");
  const auto fd = sys::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) return fd;
  size_t used = 0;
  auto got = sys::Result(0);
  for (;;) {
    got = sys::read(static_cast<int>(fd.value()), window + used, sizeof window - 1 - used);
    if (!got.ok() || got.value() == 0) break;
    used += static_cast<size_t>(got.value());
    size_t whole = used;
    while (whole != 0 && window[whole - 1] != '\n') --whole;
    const char kept = window[whole];
    window[whole] = '\0';
    Mapping mapping;
    for (char* at = window; (at = parse_mapping(at, mapping)) != nullptr;) visit(context, mapping);
    window[whole] = kept;
    std::memmove(window, window + whole, used - whole);
    used -= whole;
  }
  sys::close(static_cast<int>(fd.value())).ignore();  // gone whatever it says
  return got;
}

}  // namespace evenkeel::shim
