#include "runtime/host/debugger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "runtime/host/fd.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kWatchpointBytes = 8;

std::string find_gdb() {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string file = (std::filesystem::path(directory) / "gdb").string();
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  throw Refusal(1, "gdb is not installed", "apt install gdb");
}

void ignore_interrupts() { ::signal(SIGINT, SIG_IGN); }  // the terminal's are for the debugger

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

std::vector<std::string> gdb_arguments(pid_t pid, std::span<const wire::WatchedRange> ranges,
                                       int told) {
  std::vector<std::string> arguments{
      "gdb", "-q", "-iex", "set debuginfod enabled off", "-p", std::to_string(pid)};
  const auto command = [&](std::string text) {
    arguments.emplace_back("-ex");
    arguments.push_back(std::move(text));
  };
  // The runtime's own signals: page faults, system calls, the watchdog.
  command("handle SIGSEGV SIGSYS SIGURG nostop noprint pass");
  for (const wire::WatchedRange& range : ranges.first(std::min(ranges.size(), kMaxWatchpoints))) {
    const uint64_t word = range.begin & ~(kWatchpointBytes - 1);
    command(fmt::format("watch *(unsigned long*){:#x}", word));
  }
  command(fmt::format("shell echo >&{}", told));
  command("continue");
  return arguments;
}

Debugger::Debugger() : path_(find_gdb()) {
  for (char** entry = environ; *entry != nullptr; ++entry) environment_.emplace_back(*entry);
}

void Debugger::attach(pid_t pid, std::span<const wire::WatchedRange> ranges) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Refusal(1, std::strerror(errno), "free some fds");
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  const std::vector<std::string> arguments = gdb_arguments(pid, ranges, writer.get());
  gdb_ = ::fork();
  if (gdb_ == 0) {
    ::fcntl(writer.get(), F_SETFD, 0);
    ::execve(path_.c_str(), pointers(arguments).data(), pointers(environment_).data());
    ::_exit(kExitNotExecutable);
  }
  if (gdb_ < 0) throw Refusal(1, std::strerror(errno), "raise the limit of processes (ulimit -u)");
  ignore_interrupts();
  writer.reset();
  char told = 0;
  ssize_t bytes = 0;
  do {
    bytes = ::read(reader.get(), &told, 1);
  } while (bytes < 0 && errno == EINTR);
  if (bytes != 1) throw Refusal(1, "gdb has ended before it was ready", "see what it says above");
}

Debugger::~Debugger() {
  while (gdb_ > 0 && ::waitpid(gdb_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace evenkeel::host
