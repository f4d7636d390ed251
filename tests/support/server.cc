#include "tests/support/server.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace evenkeel::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = std::filesystem::temp_directory_path() / "evenkeel-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // a process that is being killed may still hold it
  std::filesystem::remove_all(path_, ignored);
}

std::string evenkeel_path() { return EVENKEEL_BIN_DIR "/evenkeel"; }
std::string kvstore_path() { return EVENKEEL_BIN_DIR "/kvstore"; }

Words memcached_command(const Words& extra) {
  Words words{"memcached", "-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-t", "4"};
  if (geteuid() == 0) words.insert(words.end(), {"-u", "root"});
  words.insert(words.end(), extra.begin(), extra.end());
  return words;
}

Words kvstore_command(const Words& extra) {
  Words words{kvstore_path(), "--port", "{port}"};
  words.insert(words.end(), extra.begin(), extra.end());
  return words;
}

void Server::start(Words words) {
  port_ = free_port();
  for (std::string& word : words) {
    if (word == "{port}") word = std::to_string(port_);
  }
  process_ = std::make_unique<Process>(words);
  wait_for_port(port_, *process_);
}

Server Server::native(const Words& command) {
  Server server;
  server.start(command);
  return server;
}

Server Server::evenkeel(const Words& options, const Words& command) {
  static int started = 0;
  Server server;
  server.state_ = std::make_unique<TemporaryDirectory>();
  server.name_ = "test-" + std::to_string(getpid()) + "-" + std::to_string(++started);
  Words words{evenkeel_path(), "run", "--state-dir", server.state_->path(), "--name", server.name_};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back("--");
  words.insert(words.end(), command.begin(), command.end());
  server.start(words);
  return server;
}

nlohmann::json Server::status() const {
  const Finished finished = run_to_end(
      {evenkeel_path(), "status", "--state-dir", state_->path(), "--name", name_, "--json"});
  if (finished.ending.status != 0) throw std::runtime_error("status failed: " + finished.err);
  return nlohmann::json::parse(finished.out);
}

Ending Server::stop() {
  process_->signal(SIGTERM);
  return process_->wait();
}

LoadResult run_load(uint16_t port, const Words& arguments, Seconds timeout) {
  Words words{EVENKEEL_BIN_DIR "/evenkeel-load", "--port", std::to_string(port)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const Finished finished = run_to_end(words, {}, timeout);
  return {finished.ending.status, nlohmann::json::parse(finished.out, nullptr, false),
          finished.err};
}

}  // namespace evenkeel::test
