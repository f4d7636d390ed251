#include "runtime/host/launcher.h"

#include <fcntl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

// rseq areas and cached stacks would tie a context to its kernel thread (glibc >= 2.35).
constexpr char kTunables[] = "glibc.pthread.rseq=0:glibc.pthread.stack_cache_size=0";

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

// The rest of an LD_PRELOAD list, without an earlier mention of ourselves.
std::string other_preloads(std::string_view list) {
  std::string rest;
  while (!list.empty()) {
    const size_t end = list.find_first_of(": ");
    const std::string_view item = list.substr(0, end);
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    const std::string_view base = item.substr(item.rfind('/') + 1);
    if (!item.empty() && base != "libevenkeel.so") rest += fmt::format(":{}", item);
  }
  return rest;
}

std::string extended_tunables(std::string_view given) {
  return given.empty() ? kTunables : fmt::format("{}:{}", given, kTunables);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (const std::string& text : strings) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

void keep_across_exec(int fd) { ::fcntl(fd, F_SETFD, 0); }

void null_stdin() {
  const int null = ::open("/dev/null", O_RDONLY);
  if (null > 0) {
    ::dup2(null, 0);
    ::close(null);
  }
}

// In the child. Only returns when exec failed.
void become_server(const Launch& launch, pid_t parent, char* const* arguments, char* const* env) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(128 + SIGKILL);  // it died before the line above
  // A group of its own: the terminal's Ctrl-C reaches the coordinator only, which forwards it.
  ::setpgid(0, 0);
  launch.signals->restore_in_child();
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = launch.open_files_soft;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  keep_across_exec(launch.deck->deck_fd());
  if ((*launch.deck)->boot.image_fd >= 0) keep_across_exec(launch.deck->image_fd());
  null_stdin();
  ::execve(launch.path.c_str(), arguments, env);
}

}  // namespace

std::vector<std::string> replica_environment(char** inherited, const std::string& library,
                                             int deck_fd, uint32_t replica) {
  std::vector<std::string> env;
  std::string preloads;
  std::string tunables;
  for (char** entry = inherited; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = name_of(text);
    const std::string_view value = text.substr(std::min(text.size(), name.size() + 1));
    if (name == "LD_PRELOAD") {
      preloads = other_preloads(value);
    } else if (name == "GLIBC_TUNABLES") {
      tunables = value;
    } else if (name != "LD_BIND_NOW" && name != wire::kEnvDeckFd && name != wire::kEnvReplica) {
      env.emplace_back(text);
    }
  }
  env.push_back(fmt::format("LD_PRELOAD={}{}", library, preloads));
  env.emplace_back("LD_BIND_NOW=1");
  env.push_back(fmt::format("GLIBC_TUNABLES={}", extended_tunables(tunables)));
  // Fixed width: the values differ between replicas, the stack layout must not.
  env.push_back(fmt::format("{}={:010d}", wire::kEnvDeckFd, deck_fd));
  env.push_back(fmt::format("{}={:02d}", wire::kEnvReplica, replica));
  return env;
}

void disable_address_randomisation() {
  const int now = ::personality(0xffffffff);
  if (now >= 0 && ::personality(static_cast<unsigned>(now) | ADDR_NO_RANDOMIZE) >= 0) return;
  throw Refusal(
      kExitUsage,
      fmt::format("address-space randomisation cannot be turned off: {}", std::strerror(errno)),
      "allow personality(2); in a container: --security-opt seccomp=unconfined");
}

pid_t launch(const Launch& launch, uint32_t replica) {
  const auto env = replica_environment(environ, launch.library, launch.deck->deck_fd(), replica);
  const auto env_pointers = pointers(env);
  const auto argument_pointers = pointers(launch.arguments);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw Refusal(kExitHung, std::strerror(errno), "free some fds");
  Fd reader(ends[0]);
  Fd writer(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    become_server(launch, parent, argument_pointers.data(), env_pointers.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t told = ::write(writer.get(), &error, sizeof error);
    ::_exit(error == ENOENT ? kExitNotFound : kExitNotExecutable);
  }
  if (pid < 0) {
    throw Refusal(kExitUsage,
                  fmt::format("no process for replica {}: {}", replica, std::strerror(errno)),
                  "raise the limit of processes (ulimit -u)");
  }
  writer.reset();
  int error = 0;
  ssize_t bytes = 0;
  do {
    bytes = ::read(reader.get(), &error, sizeof error);
  } while (bytes < 0 && errno == EINTR);
  if (bytes == sizeof error) {
    throw Refusal(error == ENOENT ? kExitNotFound : kExitNotExecutable,
                  fmt::format("{}: {}", launch.path, std::strerror(error)),
                  "check the program and its interpreter");
  }
  return pid;
}

}  // namespace evenkeel::host
