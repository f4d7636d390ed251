#pragma once
// Runs `evenkeel run` with the fake server in a directory of its own, and talks to it as clients
// do.
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/host/fd.h"

namespace evenkeel::test {

// Removed with everything in it.
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

[[nodiscard]] std::string read_file(const std::filesystem::path& path);

// A client connection; every wait is bounded by kPatienceS, after which the test fails.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0);
  void send(const std::string& text) const;
  // As much as fits, without blocking; what was not sent is the caller's.
  [[nodiscard]] size_t send_some(const std::string& text) const;
  [[nodiscard]] std::string line();
  [[nodiscard]] std::string exactly(size_t bytes);
  // Sends an order or text and returns the line that comes back.
  [[nodiscard]] std::string ask(const std::string& text) {
    send(text + "\n");
    return line();
  }
  void finish_sending() const;
  // 0: the peer closed; ECONNRESET...: it broke; -1: data came.
  [[nodiscard]] int ending();

 private:
  static constexpr int kPatienceS = 30;
  void fill();
  host::Fd socket_;
  std::string buffer_;
};

// One `evenkeel run`. Ended, if it still runs, by the destructor.
class ServerRun {
 public:
  explicit ServerRun(const std::vector<std::string>& options = {},
                     const std::vector<std::string>& server_options = {},
                     const std::filesystem::path* state_dir = nullptr);
  ~ServerRun();
  ServerRun(const ServerRun&) = delete;
  ServerRun& operator=(const ServerRun&) = delete;

  // Waits until the server says where it listens; 0 if it ends before.
  [[nodiscard]] uint16_t port();
  [[nodiscard]] std::string output_line();
  [[nodiscard]] Client client(int receive_buffer_bytes = 0) {
    return Client(port(), receive_buffer_bytes);
  }
  void signal(int number) const;
  // As waitpid reports it.
  int wait();
  // Exit status, or 128 + signal.
  int exit_code();
  [[nodiscard]] std::string errors() const;  // stderr so far
  [[nodiscard]] nlohmann::json status() const;
  // The first status with so many live replicas; fails the test after kPatienceS.
  [[nodiscard]] nlohmann::json await_live(uint32_t replicas) const;
  [[nodiscard]] std::vector<nlohmann::json> reports() const;  // oldest first
  [[nodiscard]] std::filesystem::path state_dir() const { return state_dir_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // pids of the replicas, from status.
  [[nodiscard]] std::vector<pid_t> replica_pids() const;

 private:
  void fill_output();

  TemporaryDirectory directory_;
  std::filesystem::path state_dir_;
  host::Fd output_;
  std::string output_text_;
  pid_t pid_ = -1;
  int wait_status_ = 0;
  uint16_t port_ = 0;
};

// Runs `evenkeel` with these words to its end.
struct Finished {
  int status;
  std::string output;
  std::string errors;
};
[[nodiscard]] Finished evenkeel(const std::vector<std::string>& words);

// True once no process has this pid (waits for it, bounded).
[[nodiscard]] bool is_gone(pid_t pid);

}  // namespace evenkeel::test
