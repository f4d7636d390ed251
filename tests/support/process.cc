#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <stdexcept>

namespace evenkeel::test {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// A pidfd is readable when its process has ended.
bool poll_until_readable(int fd, std::chrono::milliseconds timeout) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&entry, 1, static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

std::string read_all(int fd) {
  struct stat info {};
  if (fstat(fd, &info) < 0) fail("fstat");
  std::string text(static_cast<size_t>(info.st_size), '\0');
  const ssize_t bytes = pread(fd, text.data(), text.size(), 0);
  if (bytes < 0) fail("pread");
  text.resize(static_cast<size_t>(bytes));
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> merged_environment(const Environment& extra) {
  std::vector<std::string> result;
  for (const auto& [name, value] : extra) result.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) result.push_back(text);
  }
  return result;
}

int memory_file(const char* name) {
  const int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) fail("memfd_create");
  return fd;
}

pid_t parent_of(const std::filesystem::path& directory) {
  std::ifstream file(directory / "stat");
  std::string text;
  std::getline(file, text);
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return -1;  // ended meanwhile
  std::istringstream fields(text.substr(end + 1));
  std::string state;
  pid_t parent = -1;
  fields >> state >> parent;
  return parent;
}

}  // namespace

void PrintTo(const Ending& ending, std::ostream* out) {
  *out << "status " << ending.status << ", signal " << ending.signal;
}

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

Process::Process(const std::vector<std::string>& command, const Environment& extra)
    : out_(memory_file("stdout")), err_(memory_file("stderr")) {
  start(command, extra);
}

void Process::start(const std::vector<std::string>& command, const Environment& extra) {
  std::vector<std::string> words = command;
  std::vector<std::string> variables = merged_environment(extra);
  const std::vector<char*> arguments = pointers(words);
  const std::vector<char*> environment = pointers(variables);
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // a test that is killed leaves no server
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out_.get(), STDOUT_FILENO);
    dup2(err_.get(), STDERR_FILENO);
    execvpe(arguments[0], arguments.data(), environment.data());
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", arguments[0], std::strerror(errno));
    _exit(127);
  }
  pidfd_ = Fd(open_pidfd(pid_));
  if (pidfd_.get() < 0) fail("pidfd_open");
}

Process::~Process() {
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) const {
  if (!ended_) ::kill(pid_, number);
}

bool Process::wait_until_ended(std::chrono::milliseconds timeout) {
  if (ended_) return true;
  if (!poll_until_readable(pidfd_.get(), timeout)) return false;
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) fail("waitpid");
  ended_ = true;
  if (WIFEXITED(status)) ending_.status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) ending_.signal = WTERMSIG(status);
  return true;
}

Ending Process::wait(Seconds timeout) {
  if (!wait_until_ended(timeout)) {
    throw std::runtime_error("process " + std::to_string(pid_) + " did not end; stderr: " + err());
  }
  return ending_;
}

std::string Process::out() const { return read_all(out_.get()); }
std::string Process::err() const { return read_all(err_.get()); }

Finished run_to_end(const std::vector<std::string>& command, const Environment& extra,
                    Seconds timeout) {
  Process process(command, extra);
  const Ending ending = process.wait(timeout);
  return {ending, process.out(), process.err()};
}

Watched::Watched(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    const int fd = open_pidfd(pid);
    if (fd >= 0) fds_.emplace_back(fd);  // otherwise it has ended already
  }
}

bool Watched::wait_until_ended(Seconds timeout) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (const Fd& fd : fds_) {
    const auto left = deadline - std::chrono::steady_clock::now();
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left);
    if (!poll_until_readable(fd.get(), std::max(left_ms, std::chrono::milliseconds{0}))) {
      return false;
    }
  }
  return true;
}

std::vector<pid_t> descendants(pid_t root) {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    children[parent_of(entry.path())].push_back(static_cast<pid_t>(std::stol(name)));
  }
  std::vector<pid_t> found;
  std::vector<pid_t> waiting{root};
  while (!waiting.empty()) {
    const pid_t parent = waiting.back();
    waiting.pop_back();
    for (const pid_t child : children[parent]) {
      found.push_back(child);
      waiting.push_back(child);
    }
  }
  return found;
}

}  // namespace evenkeel::test
