#include "tests/host/harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;

constexpr char kName[] = "fake";
constexpr int kGoneMs = 10'000;

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

pid_t spawn(const std::vector<std::string>& words, int out, int err) {
  const auto arguments = pointers(words);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies leaves nothing running
  ::setenv("EVENKEEL_LIBRARY", EVENKEEL_TEST_LIBRARY, 1);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::execv(arguments[0], arguments.data());
  ::_exit(99);
}

int open_for_writing(const fs::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

int code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (fs::temp_directory_path() / "evenkeel-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // a test that failed may have left it unreadable
  fs::remove_all(path_, ignored);
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// ---------------------------------------------------------------- Client

Client::Client(uint16_t port, int receive_buffer_bytes)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{kPatienceS, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (receive_buffer_bytes != 0) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error(std::string("connect: ") + ::strerror(errno));
  }
}

void Client::send(const std::string& text) const {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t bytes =
        ::send(socket_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (bytes <= 0) throw std::runtime_error(std::string("send: ") + ::strerror(errno));
    sent += static_cast<size_t>(bytes);
  }
}

size_t Client::send_some(const std::string& text) const {
  const ssize_t bytes =
      ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

void Client::fill() {
  char bytes[65536];
  const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
  if (count < 0) throw std::runtime_error(std::string("recv: ") + ::strerror(errno));
  if (count == 0) throw std::runtime_error("the server closed the connection");
  buffer_.append(bytes, static_cast<size_t>(count));
}

std::string Client::line() {
  while (buffer_.find('\n') == std::string::npos) fill();
  const size_t end = buffer_.find('\n');
  std::string text = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return text;
}

std::string Client::exactly(size_t bytes) {
  while (buffer_.size() < bytes) fill();
  std::string text = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return text;
}

void Client::finish_sending() const { ::shutdown(socket_.get(), SHUT_WR); }

int Client::ending() {
  char byte = 0;
  const ssize_t count = ::recv(socket_.get(), &byte, 1, 0);
  if (count > 0 || !buffer_.empty()) return -1;
  return count == 0 ? 0 : errno;
}

// ---------------------------------------------------------------- ServerRun

ServerRun::ServerRun(const std::vector<std::string>& options,
                     const std::vector<std::string>& server_options, const fs::path* state_dir)
    : state_dir_(state_dir == nullptr ? directory_.path() / "state" : *state_dir) {
  std::vector<std::string> words = {EVENKEEL_TEST_BINARY, "run",    "--state-dir",
                                    state_dir_.string(),  "--name", kName};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back("--");
  words.emplace_back(EVENKEEL_TEST_SERVER);
  words.insert(words.end(), server_options.begin(), server_options.end());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const host::Fd writer(ends[1]);
  output_.reset(ends[0]);
  const host::Fd errors(open_for_writing(directory_.path() / "stderr"));
  pid_ = spawn(words, writer.get(), errors.get());
}

ServerRun::~ServerRun() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ServerRun::fill_output() {
  char bytes[4096];
  pollfd ready{output_.get(), POLLIN, 0};
  if (::poll(&ready, 1, 30'000) != 1) throw std::runtime_error("no output within 30 s");
  const ssize_t count = ::read(output_.get(), bytes, sizeof bytes);
  if (count <= 0) throw std::runtime_error("the run has ended; stderr: " + errors());
  output_text_.append(bytes, static_cast<size_t>(count));
}

std::string ServerRun::output_line() {
  while (output_text_.find('\n') == std::string::npos) fill_output();
  const size_t end = output_text_.find('\n');
  std::string text = output_text_.substr(0, end);
  output_text_.erase(0, end + 1);
  return text;
}

uint16_t ServerRun::port() {
  if (port_ != 0) return port_;
  const std::string line = output_line();
  const std::string prefix = "listening ";
  if (!line.starts_with(prefix)) throw std::runtime_error("unexpected output: " + line);
  port_ = static_cast<uint16_t>(std::stoi(line.substr(prefix.size())));
  return port_;
}

void ServerRun::signal(int number) const { ::kill(pid_, number); }

int ServerRun::wait() {
  if (pid_ <= 0) return wait_status_;
  while (::waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return wait_status_;
}

int ServerRun::exit_code() { return code_of(wait()); }

std::string ServerRun::errors() const { return read_file(directory_.path() / "stderr"); }

nlohmann::json ServerRun::status() const {
  const Finished asked =
      evenkeel({"status", "--state-dir", state_dir_.string(), "--name", kName, "--json"});
  if (asked.status != 0) throw std::runtime_error("status: " + asked.errors);
  return nlohmann::json::parse(asked.output);
}

nlohmann::json ServerRun::await_live(uint32_t replicas) const {
  constexpr int kPatienceS = 30;
  const std::time_t end = std::time(nullptr) + kPatienceS;
  nlohmann::json now = status();
  while (now["replicas_live"] != replicas && std::time(nullptr) < end) now = status();
  EXPECT_EQ(now["replicas_live"], replicas);
  return now;
}

std::vector<nlohmann::json> ServerRun::reports() const {
  // A reply is released before its report is complete; a status is answered between two batches.
  if (pid_ > 0) static_cast<void>(status());
  const std::vector<std::string> place = {"--state-dir", state_dir_.string(), "--name", kName,
                                          "--json"};
  std::vector<std::string> words = {"report", "list"};
  words.insert(words.end(), place.begin(), place.end());
  std::vector<nlohmann::json> found;
  const auto rows = nlohmann::json::parse(evenkeel(words).output);
  for (const auto& row : rows["reports"]) {
    for (const auto& id : row["ids"]) {
      words = {"report", "show", id.get<std::string>()};
      words.insert(words.end(), place.begin(), place.end());
      found.push_back(nlohmann::json::parse(evenkeel(words).output));
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a["batch"].template get<uint64_t>(), a["id"].template get<std::string>()) <
           std::pair(b["batch"].template get<uint64_t>(), b["id"].template get<std::string>());
  });
  return found;
}

std::vector<pid_t> ServerRun::replica_pids() const {
  std::vector<pid_t> pids;
  const nlohmann::json now = status();
  for (const auto& replica : now["breakdown"]["replicas"]) pids.push_back(replica["pid"]);
  return pids;
}

// ---------------------------------------------------------------- one command

Finished evenkeel(const std::vector<std::string>& words) {
  const TemporaryDirectory directory;
  std::vector<std::string> all = {EVENKEEL_TEST_BINARY};
  all.insert(all.end(), words.begin(), words.end());
  const host::Fd out(open_for_writing(directory.path() / "out"));
  const host::Fd err(open_for_writing(directory.path() / "err"));
  const pid_t pid = spawn(all, out.get(), err.get());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return {code_of(status), read_file(directory.path() / "out"),
          read_file(directory.path() / "err")};
}

bool is_gone(pid_t pid) {
  const host::Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return errno == ESRCH;
  pollfd ended{process.get(), POLLIN, 0};
  return ::poll(&ended, 1, kGoneMs) == 1;
}

}  // namespace evenkeel::test
