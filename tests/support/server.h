#pragma once
// A server as its user starts it: by itself, or under `evenkeel run`.
// The programs' paths come from the build (compile definitions of the tests' target).
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/ports.h"
#include "tests/support/process.h"

namespace evenkeel::test {

using Words = std::vector<std::string>;

// A directory that is removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string evenkeel_path();
std::string kvstore_path();

// "{port}" in a server's words is replaced by a free one.
Words memcached_command(const Words& extra = {});
Words kvstore_command(const Words& extra = {});

class Server {
 public:
  static Server native(const Words& command);
  // `options` go between `run` and `--`. --state-dir and --name are added.
  static Server evenkeel(const Words& options, const Words& command);

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string state_dir() const { return state_->path(); }
  Process& process() { return *process_; }
  // What `evenkeel status --json` says.
  [[nodiscard]] nlohmann::json status() const;
  // SIGTERM, and wait for the end.
  Ending stop();

 private:
  Server() = default;
  void start(Words words);

  uint16_t port_ = 0;
  std::string name_;
  std::unique_ptr<TemporaryDirectory> state_;
  std::unique_ptr<Process> process_;
};

struct LoadResult {
  int status = -1;  // exit status of the load client: 0 is all right
  nlohmann::json json;
  std::string complaints;
};
LoadResult run_load(uint16_t port, const Words& arguments, Seconds timeout = Seconds{600});

}  // namespace evenkeel::test
