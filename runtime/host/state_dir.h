#pragma once
// STATE/NAME/: lock, admin socket, reports. One run per name, held by flock.
#include <sys/un.h>

#include <filesystem>
#include <string>

#include "runtime/host/fd.h"
#include "runtime/host/options.h"

namespace evenkeel::host {

[[nodiscard]] std::string default_state_dir();

class StateDir {
 public:
  // For a run: creates the directory, takes the lock. Throws Refusal.
  static StateDir create(const Options& options);
  // For status and report: the directory must exist. Without a name the only run there is.
  static StateDir find(const Options& options);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path reports() const { return path_ / "reports"; }
  [[nodiscard]] std::string name() const { return path_.filename().string(); }

  // A socket address is at most 108 bytes, a path is not: it leads through an open directory.
  [[nodiscard]] sockaddr_un admin_address() const;

 private:
  explicit StateDir(std::filesystem::path path) : path_(std::move(path)) {}
  void open_directory();
  void take_lock();

  std::filesystem::path path_;
  Fd directory_;
  Fd lock_;
};

}  // namespace evenkeel::host
