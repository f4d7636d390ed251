#include "runtime/host/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

std::string directory_of(const Options& options) {
  return options.state_dir.empty() ? default_state_dir() : options.state_dir;
}

std::string only_name_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.is_directory(error)) names.push_back(entry.path().filename().string());
  }
  if (names.size() == 1) return names.front();
  throw Refusal(kExitUsage,
                names.empty() ? fmt::format("no run has left anything in {}", directory.string())
                              : fmt::format("{} holds {} runs", directory.string(), names.size()),
                "say which with --name, and where with --state-dir");
}

}  // namespace

std::string default_state_dir() {
  const char* xdg = std::getenv("XDG_STATE_HOME");
  if (xdg != nullptr && *xdg == '/') return fmt::format("{}/evenkeel", xdg);
  if (::geteuid() == 0) return "/var/lib/evenkeel";
  const char* home = std::getenv("HOME");
  return fmt::format("{}/.local/state/evenkeel", home == nullptr ? "" : home);
}

StateDir StateDir::create(const Options& options) {
  StateDir state(fs::path(directory_of(options)) / options.name);
  std::error_code error;
  fs::create_directories(state.path_.parent_path(), error);
  // What is kept there can hold secrets of the server's memory: nobody else looks in.
  const mode_t old_mask = ::umask(0077);
  fs::create_directories(state.reports(), error);
  ::umask(old_mask);
  std::error_code kept;  // another's directory stays as its owner wants it
  fs::permissions(state.path_, fs::perms::owner_all, kept);
  fs::permissions(state.reports(), fs::perms::owner_all, kept);
  if (error || ::access(state.reports().c_str(), W_OK | X_OK) != 0) {
    throw Refusal(kExitUsage,
                  fmt::format("the state directory {} cannot be written: {}", state.path_.string(),
                              error ? error.message() : std::strerror(errno)),
                  "choose another with --state-dir DIR or EVENKEEL_STATE_DIR");
  }
  state.open_directory();
  state.take_lock();
  return state;
}

StateDir StateDir::find(const Options& options) {
  const fs::path directory = directory_of(options);
  const std::string name = options.name.empty() ? only_name_in(directory) : options.name;
  StateDir state(directory / name);
  std::error_code error;
  if (!fs::is_directory(state.path_, error)) {
    throw Refusal(1, fmt::format("no run named {} in {}", name, directory.string()),
                  "see the names there, or give --state-dir");
  }
  state.open_directory();
  return state;
}

void StateDir::open_directory() {
  directory_.reset(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory_.valid()) {
    throw Refusal(kExitUsage, fmt::format("{}: {}", path_.string(), std::strerror(errno)),
                  "choose another with --state-dir DIR");
  }
}

void StateDir::take_lock() {
  const fs::path file = path_ / "lock";
  lock_.reset(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock_.valid() && ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
  if (lock_.valid() && errno == EWOULDBLOCK) {
    throw Refusal(kExitUsage, fmt::format("a server named {} is running already", name()),
                  "give this one another name with --name");
  }
  throw Refusal(kExitUsage, fmt::format("{}: {}", file.string(), std::strerror(errno)),
                "choose another directory with --state-dir DIR");
}

sockaddr_un StateDir::admin_address() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/admin.sock", directory_.get());
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace evenkeel::host
