#include "runtime/host/inherited.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/host/fd.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category()); }

std::vector<int> open_descriptors() {
  std::vector<int> numbers;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    const int number = std::stoi(entry.path().filename().string());
    if (number > STDERR_FILENO) numbers.push_back(number);
  }
  return numbers;
}

bool survives_exec(int number) {
  const int flags = ::fcntl(number, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

// A pipe that nobody writes to stands for sockets and other pipes.
Fd open_like(const std::string& path) {
  if (path.starts_with('/')) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (fd.valid()) return fd;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail();
  ::close(ends[1]);
  return Fd(ends[0]);
}

}  // namespace

nlohmann::json list_inherited() {
  nlohmann::json list = nlohmann::json::array();
  for (const int number : open_descriptors()) {
    if (!survives_exec(number)) continue;
    std::error_code error;
    const auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(number), error);
    list.push_back({{"fd", number}, {"path", path.string()}});
  }
  return list;
}

void imitate_inherited(const nlohmann::json& list) {
  std::vector<int> wanted;
  for (const auto& entry : list) wanted.push_back(entry.at("fd").get<int>());
  for (const int number : open_descriptors()) {
    const bool keep = std::find(wanted.begin(), wanted.end(), number) != wanted.end();
    if (!keep) ::fcntl(number, F_SETFD, FD_CLOEXEC);  // the listing's own has gone: no matter
  }
  for (const auto& entry : list) {
    const int number = entry.at("fd").get<int>();
    if (survives_exec(number)) continue;
    const Fd like = open_like(entry.at("path").get<std::string>());
    if (::dup2(like.get(), number) < 0) fail();
  }
}

void close_private_descriptors() {
  for (const int number : open_descriptors()) {
    if (!survives_exec(number)) ::close(number);
  }
}

}  // namespace evenkeel::host
