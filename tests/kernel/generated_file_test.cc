#include "runtime/kernel/generated_file.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/kernel/file_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;

// What each of two replicas read, in memory that both share.
struct Seen {
  char text[2][16384];
};

std::string read_all(int fd) {
  std::string all;
  char piece[1000];
  for (long got; (got = call(SYS_read, fd, piece, sizeof piece)) != 0;) {
    REQUIRE(got > 0);
    all.append(piece, static_cast<size_t>(got));
  }
  return all;
}

void read_into(Seen& seen, const char* path) {
  const int fd = open_file(path, O_RDONLY);
  REQUIRE(fd >= 0);
  const std::string all = read_all(fd);
  REQUIRE(!all.empty() && all.size() < sizeof seen.text[0]);
  std::memcpy(seen.text[kernel::replica_index()], all.c_str(), all.size() + 1);
  REQUIRE_EQ(close_file(fd), 0);
}

void expect_both_read_the_same(const char* path) {
  auto& seen = shared<Seen>();
  const PairResult result = run_pair([&] { read_into(seen, path); });
  EXPECT_EQ(result.primary, kPassed);
  EXPECT_EQ(result.follower, kPassed);
  EXPECT_STREQ(seen.text[0], seen.text[1]);
}

// Two processes differ in nearly every line of it.
TEST(GeneratedFile, AllReplicasReadWhatThePrimaryRead) {
  expect_both_read_the_same("/proc/self/status");
  expect_both_read_the_same("/proc/self/maps");  // larger than a piece
  expect_both_read_the_same("/proc/uptime");
}

TEST(GeneratedFile, ARepetitionReadsWhatWasReadBefore) {
  std::string first;
  const auto read_status = [] {
    const int fd = open_file("/proc/self/schedstat", O_RDONLY);  // new with each look
    const std::string all = read_all(fd);
    close_file(fd);
    return all;
  };
  EXPECT_EQ(run_batches(true, {{[&] { first = read_status(); }, Decision::kRollback},
                               {[&] { REQUIRE(read_status() == first); }, Decision::kCommit},
                               {[&] { REQUIRE(read_status() != first); }, Decision::kCommit}}),
            kPassed);
}

TEST(GeneratedFile, HasAPositionAsEveryFile) {
  EXPECT_EQ(run_batches(true, {{[] {
                                  const int fd = open_file("/proc/self/comm", O_RDONLY);
                                  const std::string name = read_all(fd);
                                  REQUIRE(name.size() > 2);
                                  REQUIRE_EQ(call(SYS_lseek, fd, 1, SEEK_SET), 1);
                                  REQUIRE(read_all(fd) == name.substr(1));
                                  REQUIRE(read_from(fd, 0) == name);
                                  REQUIRE_EQ(call(SYS_write, fd, "x", 1), -EBADF);
                                  REQUIRE_EQ(unhandled("open of a special file"), 0);
                                },
                                Decision::kCommit}}),
            kPassed);
}

TEST(GeneratedFile, APathWithTheServersOwnNumberIsItsOwn) {
  constexpr int kReported = 4'000'001;  // above every pid_max
  EXPECT_EQ(run_batches(true, {{[] {
                                  kernel::deck().boot.reported_pid = kReported;
                                  const int fd = open_file("/proc/4000001/comm", O_RDONLY);
                                  REQUIRE(fd >= 0);
                                  const int own = open_file("/proc/self/comm", O_RDONLY);
                                  REQUIRE(read_all(fd) == read_all(own));
                                  REQUIRE_EQ(open_file("/proc/40000011/comm", O_RDONLY), -ENOENT);
                                },
                                Decision::kCommit}}),
            kPassed);
}

TEST(GeneratedFile, APathThatDoesNotFitStaysAsItIs) {
  char room[kernel::kOwnPathBytes];
  const std::string other = "/etc/passwd";
  EXPECT_EQ(
      run_batches(true, {{[&] {
                            kernel::deck().boot.reported_pid = 77;
                            REQUIRE(kernel::own_proc_path(other.c_str(), room) == other.c_str());
                            const std::string path = "/proc/77/" + std::string(200, 'x');
                            REQUIRE(kernel::own_proc_path(path.c_str(), room) == path.c_str());
                          },
                          Decision::kCommit}}),
      kPassed);
}

}  // namespace
}  // namespace evenkeel::test
