#include "runtime/kernel/identity.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstring>

#include "runtime/core/text.h"
#include "runtime/kernel/process_state.h"

namespace evenkeel::kernel {
namespace {

// /proc/PID/status is 1.4 KiB and a group list; more groups than fit are cut, and that is an error.
constexpr size_t kStatusBytes = 16 << 10;
constexpr int kMaxGroups = 1024;

struct Ids {
  uint32_t real, effective, saved;
};
struct Identity {
  uint32_t mask;
  Ids user, group;
  int groups;
  uint32_t group_list[kMaxGroups];
};
// Runtime memory: too large for a borrowed stack.
constinit char g_status[kStatusBytes];
constinit Identity g_identity{};

sys::Result read_status(int pid) {
  Text<64> path;
  path.add("/proc/").add(pid).add("/status");
  const auto fd = sys::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (!fd.ok()) return fd;
  size_t used = 0;
  auto got = sys::Result(0);
  do {
    got = sys::read(static_cast<int>(fd.value()), g_status + used, kStatusBytes - 1 - used);
    if (got.ok()) used += static_cast<size_t>(got.value());
  } while (got.ok() && got.value() != 0);
  sys::close(static_cast<int>(fd.value())).ignore();  // gone whatever it says
  g_status[used] = '\0';
  if (!got.ok()) return got;
  return used + 1 < kStatusBytes ? sys::Result(0) : sys::Result(-E2BIG);
}

// What follows "\nNAME:\t"; null if the line is missing.
const char* find_line(const char* name) {
  const size_t bytes = strlen(name);
  for (const char* at = g_status; *at != '\0'; ++at) {
    const bool begins = at == g_status || at[-1] == '\n';
    if (begins && strncmp(at, name, bytes) == 0 && at[bytes] == ':') return at + bytes + 1;
  }
  return nullptr;
}

// False: the line has no more numbers.
bool next_number(const char*& at, uint32_t base, uint32_t& out) {
  while (*at == ' ' || *at == '\t') ++at;
  if (*at < '0' || *at > '9') return false;
  for (out = 0; *at >= '0' && *at <= '9'; ++at) out = out * base + static_cast<uint32_t>(*at - '0');
  return true;
}

bool parse_ids(const char* name, Ids& out) {
  const char* at = find_line(name);
  return at != nullptr && next_number(at, 10, out.real) && next_number(at, 10, out.effective) &&
         next_number(at, 10, out.saved);
}

bool parse(Identity& out) {
  const char* mask = find_line("Umask");
  const char* groups = find_line("Groups");
  if (mask == nullptr || !next_number(mask, 8, out.mask) || groups == nullptr) return false;
  out.groups = 0;
  for (uint32_t id = 0; next_number(groups, 10, id);) {
    if (out.groups == kMaxGroups) return false;
    out.group_list[out.groups++] = id;
  }
  return parse_ids("Uid", out.user) && parse_ids("Gid", out.group);
}

sys::Result enter_directory(int pid) {
  Text<64> path;
  path.add("/proc/").add(pid).add("/cwd");
  return sys::call(SYS_chdir, sys::arg(path.c_str()));
}

bool same(const Ids& a, const Ids& b) {
  return a.real == b.real && a.effective == b.effective && a.saved == b.saved;
}

// Only if they differ: a process without privileges may not even set what it has.
sys::Result set_credentials(const Identity& wanted) {
  Ids user{};
  Ids group{};
  sys::call(SYS_getresuid, sys::arg(&user.real), sys::arg(&user.effective), sys::arg(&user.saved))
      .ignore();  // cannot fail
  sys::call(SYS_getresgid, sys::arg(&group.real), sys::arg(&group.effective),
            sys::arg(&group.saved))
      .ignore();
  if (same(user, wanted.user) && same(group, wanted.group)) return sys::Result(0);
  auto done = sys::call(SYS_setgroups, wanted.groups, sys::arg(wanted.group_list));
  if (done.ok()) {
    done = sys::call(SYS_setresgid, wanted.group.real, wanted.group.effective, wanted.group.saved);
  }
  if (done.ok()) {
    done = sys::call(SYS_setresuid, wanted.user.real, wanted.user.effective, wanted.user.saved);
  }
  // The kernel forgets it when credentials change.
  sys::call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL).ignore();
  return done;
}

}  // namespace

sys::Result take_over_identity(const Peer& peer) {
  const auto read = read_status(peer.pid());
  if (!read.ok()) return read;
  if (!parse(g_identity)) return sys::Result(-EINVAL);
  sys::call(SYS_umask, g_identity.mask).ignore();  // cannot fail
  // Refused only where raising it was refused to the peer as well.
  sys::call(SYS_prlimit64, 0, RLIMIT_CORE, sys::arg(&process_state().limits[RLIMIT_CORE]), 0)
      .ignore();
  const auto entered = enter_directory(peer.pid());
  return entered.ok() ? set_credentials(g_identity) : entered;
}

}  // namespace evenkeel::kernel
