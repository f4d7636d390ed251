#include "bench/zoo/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <thread>

#include "bench/zoo/loopback.h"

namespace evenkeel::zoo {
namespace {

constexpr Milliseconds kPollInterval{5};
constexpr Milliseconds kStopPatience{3000};
constexpr int kPortTries = 1000;
constexpr uint16_t kFirstPort = 12000;  // the kernel's own range begins at 32768
constexpr uint16_t kLastPort = 31999;

// In the child, after fork: nothing here allocates.
[[noreturn]] void become(char* const* arguments, int log, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvp(arguments[0], arguments);
  _exit(127);
}

bool somebody_listens(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error(fmt::format("socket: {}", std::strerror(errno)));
  const sockaddr_in address = loopback(port);
  const bool taken = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
  close(fd);
  return taken;
}

}  // namespace

Process::Process(const Words& command, const std::filesystem::path& log) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error(fmt::format("{}: {}", log.string(), std::strerror(errno)));
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(arguments.data(), fd, parent);
  const int error = errno;
  close(fd);
  if (pid_ < 0) throw std::runtime_error(fmt::format("fork: {}", std::strerror(error)));
  setpgid(pid_, pid_);  // whoever of the two comes first
}

Process::~Process() { stop(kStopPatience); }

bool Process::has_ended() {
  if (!ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return ended_;
}

std::string Process::ending() const {
  if (!ended_) return "";
  if (WIFEXITED(status_)) return fmt::format("status {}", WEXITSTATUS(status_));
  const int signal = WTERMSIG(status_);
  return fmt::format("signal {} ({})", signal, strsignal(signal));
}

void Process::stop(Milliseconds patience) {
  if (pid_ < 0) return;
  const auto end = Clock::now() + patience;
  if (!has_ended()) kill(pid_, SIGTERM);
  while (!has_ended() && Clock::now() < end) std::this_thread::sleep_for(kPollInterval);
  kill(-pid_, SIGKILL);  // what is left of the group, its leader included
  if (!ended_ && waitpid(pid_, &status_, 0) == pid_) ended_ = true;
  pid_ = -1;
}

uint16_t free_port() {
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<int> ports(kFirstPort, kLastPort);
  for (int i = 0; i < kPortTries; ++i) {
    const auto port = static_cast<uint16_t>(ports(random));
    if (!somebody_listens(port)) return port;
  }
  throw std::runtime_error("no free port");
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string output_of(const Words& command, const std::filesystem::path& scratch,
                      Milliseconds timeout) {
  Process process(command, scratch);
  const auto end = Clock::now() + timeout;
  while (!process.has_ended() && Clock::now() < end) std::this_thread::sleep_for(kPollInterval);
  if (process.ending() != "status 0") {
    throw std::runtime_error(
        fmt::format("{}: {}: {}", command.front(), process.ending(), text_of(scratch)));
  }
  return text_of(scratch);
}

}  // namespace evenkeel::zoo
