#pragma once
// Replicas whose batches a test commits and rolls back, for what the file calls do to real files.
// Rollback is a copy of the kernel arena: the snapshot has its own tests.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/core/arena.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/kernel.h"
#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {

constexpr uint32_t kFirstCommand = 7;  // as tests/sched/replica.cc has it

// Removed with all its contents.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (mkdtemp(path_) == nullptr) std::abort();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const {
    return std::string(path_) + "/" + name;
  }
  [[nodiscard]] std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/evenkeel-files-XXXXXX";
};

// ---- what is really there

inline std::string real_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void set_real_content(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}
inline bool really_exists(const std::string& path) { return std::filesystem::exists(path); }
inline long real_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

// ---- what the server does

inline int open_file(const std::string& path, int flags, int mode = 0644) {
  return static_cast<int>(kernel::call(SYS_openat, AT_FDCWD, path.c_str(), flags, mode));
}
inline long write_text(int fd, const std::string& text) {
  return kernel::call(SYS_write, fd, text.data(), text.size());
}
inline std::string read_from(int fd, uint64_t offset, size_t bytes = 1 << 16) {
  std::string text(bytes, '\0');
  const long got = kernel::call(SYS_pread64, fd, text.data(), bytes, offset);
  REQUIRE(got >= 0);
  text.resize(static_cast<size_t>(got));
  return text;
}
inline long close_file(int fd) { return kernel::call(SYS_close, fd); }
inline long size_by_path(const std::string& path) {
  struct stat info {};
  const long result = kernel::call(SYS_newfstatat, AT_FDCWD, path.c_str(), &info, 0);
  return result < 0 ? result : info.st_size;
}
inline uint64_t unhandled(const char* name) {
  for (const wire::UnhandledName& entry : kernel::replica().unhandled_names) {
    if (std::strcmp(entry.name, name) == 0) return entry.count.load();
  }
  return 0;
}

// ---- batches

struct Step {
  std::function<void()> run;
  Decision then;
};

// Runs each step as a command of its own, and then commits or rolls back. The thread's own stack is
// not rolled back: what a step learnt stays known to the next. `image_first`: the image is brought
// up to date before the files are committed, or after; both must do.
class Batches {
 public:
  explicit Batches(bool image_first) : image_first_(image_first) {
    at_quiescence([this] { return decide(); });
  }

  void run(const std::vector<Step>& steps) {
    pass(Decision::kCommit);
    for (const Step& step : steps) {
      step.run();
      pass(step.then);
    }
  }

 private:
  [[nodiscard]] uint64_t key() const { return reinterpret_cast<uint64_t>(this); }

  // One call site: the context that a rollback restores must be the one that is there.
  [[gnu::noinline]] void pass(Decision decision) {
    decision_ = decision;
    park(key());
  }

  bool decide() {
    if (decision_ == Decision::kNone) return false;
    kernel::deck().command_sequence.fetch_add(1);
    if (decision_ == Decision::kCommit) {
      if (image_first_) take_image();
      kernel::commit_files(true);
      if (!image_first_) take_image();
    } else {
      restore_image();
    }
    decision_ = Decision::kNone;
    return unpark(key()) == 1;
  }

  void take_image() {
    const auto* begin = reinterpret_cast<const char*>(kKernelArena.begin);
    image_.assign(begin, reinterpret_cast<const char*>(arena::used_end()));
  }
  void restore_image() {
    auto* begin = reinterpret_cast<char*>(kKernelArena.begin);
    const size_t used = arena::used_end() - kKernelArena.begin;
    std::memset(begin + image_.size(), 0, used - image_.size());
    std::memcpy(begin, image_.data(), image_.size());
  }

  bool image_first_;
  Decision decision_ = Decision::kNone;
  std::vector<char> image_;
};

// Runs the steps in a child that is the only replica; both orders of image and commit.
inline int run_batches(bool image_first, const std::vector<Step>& steps) {
  wire::Deck* deck = make_deck();
  deck->boot.replica_count = 1;
  deck->command_sequence = kFirstCommand;
  const int status = end_of(start_replica({}, deck, [&] {
    kernel::init(*deck, 0);
    deck->replicas[0].pid = getpid();
    Batches batches(image_first);
    batches.run(steps);
  }));
  release_deck(deck);
  return status;
}

// A primary and a follower that execute the same body as one command, which is then committed.
struct PairResult {
  int primary;
  int follower;
};
inline PairResult run_pair(const std::function<void()>& body) {
  wire::Deck* deck = make_deck();
  deck->boot.replica_count = 2;
  deck->command_sequence = kFirstCommand;
  int alive[2];  // nothing is written to it: its end says that the follower has ended
  if (pipe(alive) != 0) std::abort();
  const pid_t primary = start_replica({sched::OrderMode::kRecord, 1, 1, 0}, deck, [&] {
    close(alive[1]);
    kernel::init(*deck, 0);
    deck->replicas[0].pid = getpid();
    body();
    end_command();
    char nothing;
    REQUIRE(read(alive[0], &nothing, 1) == 0);  // a replica lives as long as the others
    deck->command_sequence.fetch_add(1);
    kernel::commit_files(true);
  });
  const pid_t follower = start_replica({sched::OrderMode::kReplay, 1, 1, 1}, deck, [&] {
    kernel::init(*deck, 1);
    body();
  });
  close(alive[0]);
  close(alive[1]);
  const PairResult result{end_of(primary), end_of(follower)};
  release_deck(deck);
  return result;
}

}  // namespace evenkeel::test
