#include "shim/launch.h"

#include <dlfcn.h>
#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/core/text.h"
#include "runtime/wire.h"

namespace evenkeel::shim {
namespace {

constexpr char kPreload[] = "LD_PRELOAD=";
constexpr size_t kCommandLineBytes = 2 << 20;  // ARG_MAX of Linux by default
constexpr size_t kMaxArguments = 65536;
constinit char g_command_line[kCommandLineBytes];
constinit char* g_arguments[kMaxArguments + 4];

bool starts_with(const char* text, const char* prefix) {
  while (*prefix != '\0') {
    if (*text++ != *prefix++) return false;
  }
  return true;
}

size_t length(const char* text) {
  size_t bytes = 0;
  while (text[bytes] != '\0') ++bytes;
  return bytes;
}

const char* own_path() {
  Dl_info info{};
  return dladdr(reinterpret_cast<void*>(&become_coordinator), &info) != 0 ? info.dli_fname : "";
}

const char* base_name(const char* path, size_t bytes) {
  const char* base = path;
  for (size_t i = 0; i < bytes; ++i) {
    if (path[i] == '/') base = path + i + 1;
  }
  return base;
}

// Whether the element [at, at+bytes) of LD_PRELOAD is this library.
bool is_self(const char* at, size_t bytes) {
  const char* own = base_name(own_path(), length(own_path()));
  const char* base = base_name(at, bytes);
  const auto base_bytes = static_cast<size_t>(at + bytes - base);
  return base_bytes == length(own) && std::memcmp(base, own, base_bytes) == 0;
}

// Removes this library from the list, in place; other preloaded libraries stay.
void remove_self(char* list) {
  char* out = list;
  const char* in = list;
  while (*in != '\0') {
    size_t bytes = 0;
    while (in[bytes] != '\0' && in[bytes] != ':' && in[bytes] != ' ') ++bytes;
    if (bytes != 0 && !is_self(in, bytes)) {
      if (out != list) *out++ = ':';
      std::memmove(out, in, bytes);
      out += bytes;
    }
    in += bytes;
    if (*in != '\0') ++in;
  }
  *out = '\0';
}

// bin/evenkeel beside the library's folder: lib, or as installed lib/evenkeel or (with Debian's
// multiarch) lib/x86_64-linux-gnu/evenkeel.
bool find_coordinator(Text<512>& path) {
  const char* own = own_path();
  const auto folder_bytes = static_cast<size_t>(base_name(own, length(own)) - own);
  for (const char* relative : {"../bin/evenkeel", "../../bin/evenkeel", "../../../bin/evenkeel"}) {
    char folder[400] = {};
    if (folder_bytes >= sizeof folder) return false;
    std::memcpy(folder, own, folder_bytes);
    Text<512> candidate;
    candidate.add(folder).add(relative);
    constexpr long kExecutable = 1;  // X_OK
    if (sys::call(SYS_faccessat, AT_FDCWD, sys::arg(candidate.c_str()), kExecutable).ok()) {
      path = candidate;
      return true;
    }
  }
  return false;
}

// argv of this process, whatever constructors have done to it since.
size_t read_arguments(char** out) {
  const auto fd = sys::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) return 0;
  size_t used = 0;
  for (;;) {
    const auto got = sys::read(static_cast<int>(fd.value()), g_command_line + used,
                               kCommandLineBytes - 1 - used);
    if (!got.ok() || got.value() == 0) break;
    used += static_cast<size_t>(got.value());
  }
  sys::close(static_cast<int>(fd.value())).ignore();
  size_t count = 0;
  for (size_t at = 0; at < used && count < kMaxArguments; at += length(g_command_line + at) + 1) {
    out[count++] = g_command_line + at;
  }
  out[count] = nullptr;
  return count;
}

}  // namespace

void clean_environment(char** environment) {
  char** out = environment;
  for (char** in = environment; *in != nullptr; ++in) {
    if (starts_with(*in, wire::kEnvDeckFd) || starts_with(*in, wire::kEnvReplica)) continue;
    if (starts_with(*in, kPreload)) {
      remove_self(*in + sizeof kPreload - 1);
      if ((*in)[sizeof kPreload - 1] == '\0') continue;
    }
    *out++ = *in;
  }
  *out = nullptr;
}

int become_coordinator(char** environment) {
  static char run[] = "run";
  static char separator[] = "--";
  constexpr int kCannotExecute = 126;
  Text<512> path;
  if (!find_coordinator(path)) {
    Text<512>()
        .add("evenkeel: cannot find bin/evenkeel beside ")
        .add(own_path())
        .add("; install both together, or start the server with `evenkeel run`\n")
        .write_to(2);
    return kCannotExecute;
  }
  // The executable by its own link: argv[0] may be anything.
  static char executable[] = "/proc/self/exe";
  static char resolved[4096];
  const auto bytes =
      sys::call(SYS_readlink, sys::arg(executable), sys::arg(resolved), sizeof resolved - 1);
  g_arguments[0] = const_cast<char*>(path.c_str());
  g_arguments[1] = run;
  g_arguments[2] = separator;
  const size_t count = read_arguments(g_arguments + 3);
  if (count == 0 || !bytes.ok()) {
    Text<512>().add("evenkeel: cannot read this process's own command line\n").write_to(2);
    return kCannotExecute;
  }
  g_arguments[3] = resolved;
  clean_environment(environment);
  const auto result =
      sys::call(SYS_execve, sys::arg(path.c_str()), sys::arg(g_arguments), sys::arg(environment));
  Text<512>()
      .add("evenkeel: cannot start ")
      .add(path.c_str())
      .add(": errno ")
      .add(result.err())
      .add("\n")
      .write_to(2);
  return kCannotExecute;
}

}  // namespace evenkeel::shim
