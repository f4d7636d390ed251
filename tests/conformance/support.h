#pragma once
// For programs that know nothing of Evenkeel: the same test body runs natively, where it says what
// Linux does, and under `evenkeel run`, where it says whether we do the same.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

namespace conformance {

// Closes at the end of the scope.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (mkdtemp(path_) == nullptr) std::abort();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return std::string(path_) + "/" + name;
  }
  [[nodiscard]] std::string path() const { return path_; }

 private:
  char path_[40] = "/tmp/evenkeel-conformance-XXXXXX";
};

inline void set_nonblocking(int fd) {
  ASSERT_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

inline ssize_t put(int fd, const std::string& text) { return write(fd, text.data(), text.size()); }
// One read(); "" at the end, "!" and errno's name on error.
inline std::string get(int fd, size_t room = 4096) {
  std::string text(room, '\0');
  const ssize_t got = read(fd, text.data(), room);
  if (got < 0) return std::string("!") + strerrorname_np(errno);
  text.resize(static_cast<size_t>(got));
  return text;
}
// Reads until `bytes` are there or the end.
inline std::string get_all(int fd, size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    const std::string piece = get(fd, bytes - text.size());
    if (piece.empty() || piece[0] == '!') break;
    text += piece;
  }
  return text;
}

}  // namespace conformance

#define EXPECT_ERRNO(expression, error)           \
  do {                                            \
    errno = 0;                                    \
    EXPECT_EQ((expression), -1);                  \
    EXPECT_STREQ(strerrorname_np(errno), #error); \
  } while (false)
