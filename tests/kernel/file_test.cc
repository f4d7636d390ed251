#include "runtime/kernel/file.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <cerrno>

#include "runtime/kernel/real_fd.h"
#include "tests/kernel/file_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;

// One replica; the parameter says whether the image is brought up to date before the files.
class FileBatches : public testing::TestWithParam<bool> {
 protected:
  void expect_passes(const std::vector<Step>& steps) {
    EXPECT_EQ(run_batches(GetParam(), steps), kPassed);
  }
  TemporaryDirectory directory_;
  std::string path_ = directory_ / "file";
};
INSTANTIATE_TEST_SUITE_P(Order, FileBatches, testing::Bool());

TEST_P(FileBatches, WritesReachTheFileWhenTheBatchCommits) {
  int fd = -1;
  expect_passes({{[&] {
                    fd = open_file(path_, O_CREAT | O_WRONLY);
                    REQUIRE(fd >= 0);
                    REQUIRE_EQ(write_text(fd, "hello"), 5);
                    REQUIRE_EQ(write_text(fd, " world"), 6);
                    REQUIRE(real_content(path_).empty());
                  },
                  Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "hello world"); }, Decision::kCommit}});
}

TEST_P(FileBatches, ReadsSeeTheBatchsOwnWritesThroughEveryDescriptor) {
  set_real_content(path_, "0123456789");
  expect_passes({{[&] {
                    const int writer = open_file(path_, O_RDWR);
                    const int reader = open_file(path_, O_RDONLY);
                    REQUIRE_EQ(call(SYS_pwrite64, writer, "abc", 3, 3), 3);
                    REQUIRE_EQ(call(SYS_pwrite64, writer, "xyz", 3, 12), 3);
                    const std::string expected("012abc6789\0\0xyz", 15);
                    REQUIRE(read_from(writer, 0) == expected);
                    REQUIRE(read_from(reader, 0) == expected);
                    REQUIRE(read_from(reader, 4, 4) == "bc67");
                    REQUIRE(read_from(reader, 15).empty());
                    REQUIRE_EQ(size_by_path(path_), 15);
                    REQUIRE(real_content(path_) == "0123456789");
                  },
                  Decision::kCommit}});
  EXPECT_EQ(real_content(path_), std::string("012abc6789\0\0xyz", 15));
}

TEST_P(FileBatches, ARollbackDropsWhatWasPending) {
  set_real_content(path_, "before");
  int fd = -1;
  expect_passes({{[&] { fd = open_file(path_, O_RDWR); }, Decision::kCommit},
                 {[&] {
                    REQUIRE_EQ(write_text(fd, "WRONG AND LONG"), 14);
                    REQUIRE_EQ(call(SYS_lseek, fd, 0, SEEK_CUR), 14);
                  },
                  Decision::kRollback},
                 {[&] {
                    REQUIRE(read_from(fd, 0) == "before");
                    REQUIRE_EQ(call(SYS_lseek, fd, 0, SEEK_CUR), 0);
                    REQUIRE_EQ(write_text(fd, "right!"), 6);
                  },
                  Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "right!"); }, Decision::kCommit}});
}

TEST_P(FileBatches, ACommittedWriteIsNotAppliedAgainAfterALaterRollback) {
  int fd = -1;
  expect_passes({{[&] {
                    fd = open_file(path_, O_CREAT | O_RDWR);
                    REQUIRE_EQ(write_text(fd, "first"), 5);
                  },
                  Decision::kCommit},
                 {[&] {
                    set_real_content(path_, "somebody else's");  // as a tool on the host does
                  },
                  Decision::kRollback},
                 {[&] {}, Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "somebody else's"); }, Decision::kCommit}});
}

TEST_P(FileBatches, TruncationIsUndoneByARollback) {
  set_real_content(path_, "precious");
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_RDWR | O_TRUNC);
                    REQUIRE(read_from(fd, 0).empty());
                    REQUIRE_EQ(size_by_path(path_), 0);
                    REQUIRE_EQ(write_text(fd, "x"), 1);
                  },
                  Decision::kRollback},
                 {[&] {
                    REQUIRE(real_content(path_) == "precious");
                    const int fd = open_file(path_, O_RDWR | O_TRUNC);
                    REQUIRE_EQ(write_text(fd, "new"), 3);
                    REQUIRE_EQ(call(SYS_ftruncate, fd, 5), 0);
                    REQUIRE(read_from(fd, 0) == std::string("new\0\0", 5));
                  },
                  Decision::kCommit}});
  EXPECT_EQ(real_content(path_), std::string("new\0\0", 5));
}

TEST_P(FileBatches, AppendsGoToTheEndThatOthersHaveMoved) {
  set_real_content(path_, "one\n");
  int fd = -1;
  expect_passes({{[&] {
                    fd = open_file(path_, O_WRONLY | O_APPEND);
                    REQUIRE_EQ(write_text(fd, "two\n"), 4);
                    REQUIRE_EQ(write_text(fd, "three\n"), 6);
                  },
                  Decision::kCommit},
                 {[&] {
                    REQUIRE(real_content(path_) == "one\ntwo\nthree\n");
                    set_real_content(path_, "");  // logrotate's copytruncate
                    REQUIRE_EQ(write_text(fd, "four\n"), 5);
                  },
                  Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "four\n"); }, Decision::kCommit}});
}

TEST_P(FileBatches, AClosedFileStillGetsItsWrites) {
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_CREAT | O_WRONLY);
                    REQUIRE_EQ(write_text(fd, "kept"), 4);
                    REQUIRE_EQ(close_file(fd), 0);
                    REQUIRE_EQ(size_by_path(path_), 4);
                    const int again = open_file(path_, O_RDONLY);
                    REQUIRE(read_from(again, 0) == "kept");
                    REQUIRE_EQ(close_file(again), 0);
                  },
                  Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "kept"); }, Decision::kCommit}});
}

TEST_P(FileBatches, AFileRenamedAfterItWasWrittenHasTheContent) {
  const std::string target = directory_ / "target";
  set_real_content(target, "old");
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_CREAT | O_EXCL | O_WRONLY);
                    REQUIRE_EQ(write_text(fd, "new"), 3);
                    REQUIRE_EQ(call(SYS_fsync, fd), 0);
                    REQUIRE_EQ(close_file(fd), 0);
                    REQUIRE_EQ(call(SYS_rename, path_.c_str(), target.c_str()), 0);
                    const int reader = open_file(target, O_RDONLY);
                    REQUIRE(read_from(reader, 0) == "new");
                  },
                  Decision::kCommit}});
  EXPECT_EQ(real_content(target), "new");
  EXPECT_FALSE(really_exists(path_));
}

TEST_P(FileBatches, AnUnlinkedFileTakesItsPendingWritesAlong) {
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_CREAT | O_RDWR);
                    REQUIRE_EQ(write_text(fd, "gone"), 4);
                    REQUIRE_EQ(call(SYS_unlink, path_.c_str()), 0);
                    REQUIRE(read_from(fd, 0) == "gone");
                    const int other = open_file(path_, O_CREAT | O_EXCL | O_RDWR);
                    REQUIRE(read_from(other, 0).empty());
                    REQUIRE_EQ(write_text(other, "here"), 4);
                  },
                  Decision::kCommit}});
  EXPECT_EQ(real_content(path_), "here");
}

// What a first attempt did outside is not done again, and answers as it did then.
TEST_P(FileBatches, ARepetitionFindsTheEffectsOfTheRolledBackExecution) {
  const std::string made = directory_ / "made";
  const std::string removed = directory_ / "removed";
  set_real_content(removed, "x");
  const auto batch = [&] {
    const int fd = open_file(path_, O_CREAT | O_EXCL | O_RDWR);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(write_text(fd, "once"), 4);
    REQUIRE_EQ(call(SYS_mkdir, made.c_str(), 0755), 0);
    REQUIRE_EQ(call(SYS_access, removed.c_str(), F_OK), 0);
    REQUIRE_EQ(call(SYS_unlink, removed.c_str()), 0);
    REQUIRE_EQ(call(SYS_access, removed.c_str(), F_OK), -ENOENT);
  };
  expect_passes({{batch, Decision::kRollback},
                 {batch, Decision::kRollback},
                 {batch, Decision::kCommit},
                 {[&] {
                    REQUIRE_EQ(unhandled("file effects of a rolled-back execution"), 0);
                    REQUIRE_EQ(call(SYS_mkdir, made.c_str(), 0755), -EEXIST);
                    REQUIRE_EQ(open_file(path_, O_CREAT | O_EXCL | O_RDWR), -EEXIST);
                  },
                  Decision::kCommit}});
  EXPECT_EQ(real_content(path_), "once");
  EXPECT_TRUE(really_exists(made));
  EXPECT_FALSE(really_exists(removed));
}

TEST_P(FileBatches, EffectsThatTheRepetitionDoesNotWantAreCounted) {
  expect_passes(
      {{[&] { REQUIRE_EQ(call(SYS_mkdir, path_.c_str(), 0755), 0); }, Decision::kRollback},
       {[&] {}, Decision::kCommit},
       {[&] { REQUIRE_EQ(unhandled("file effects of a rolled-back execution"), 1); },
        Decision::kCommit}});
}

TEST_P(FileBatches, ARollbackBringsAClosedFileBack) {
  set_real_content(path_, "still here");
  int fd = -1;
  expect_passes({{[&] { fd = open_file(path_, O_RDWR); }, Decision::kCommit},
                 {[&] { REQUIRE_EQ(close_file(fd), 0); }, Decision::kRollback},
                 {[&] {
                    REQUIRE(read_from(fd, 0) == "still here");
                    REQUIRE_EQ(call(SYS_pwrite64, fd, "S", 1, 0), 1);
                  },
                  Decision::kCommit},
                 {[&] { REQUIRE(real_content(path_) == "Still here"); }, Decision::kCommit}});
}

TEST_P(FileBatches, NoRealDescriptorOutlivesItsCommit) {
  set_real_content(path_, "x");
  long before = 0;
  const auto use = [&] {
    const int reader = open_file(path_, O_RDONLY);
    const int writer = open_file(path_, O_WRONLY);
    REQUIRE_EQ(write_text(writer, "y"), 1);
    REQUIRE_EQ(close_file(reader), 0);
    REQUIRE_EQ(close_file(writer), 0);
  };
  std::vector<Step> steps = {{[&] { before = real_descriptors(); }, Decision::kCommit}};
  for (int i = 0; i < 50; ++i)
    steps.push_back({use, i % 3 == 0 ? Decision::kRollback : Decision::kCommit});
  steps.push_back({[] {}, Decision::kCommit});
  steps.push_back({[] {}, Decision::kCommit});
  steps.push_back({[&] { REQUIRE_EQ(real_descriptors(), before); }, Decision::kCommit});
  expect_passes(steps);
}

TEST_P(FileBatches, WritesBeyondThePendingLimitGoToTheFileEarly) {
  const std::string block(1 << 20, 'b');
  const auto batch = [&] {
    const int fd = open_file(path_, O_CREAT | O_RDWR);
    for (int i = 0; i < 20; ++i) REQUIRE_EQ(write_text(fd, block), 1 << 20);
    REQUIRE(unhandled("file writes flushed before agreement") != 0);
    REQUIRE_EQ(size_by_path(path_), 20 << 20);
    REQUIRE(read_from(fd, 3 << 20, 10) == "bbbbbbbbbb");
    REQUIRE(read_from(fd, (20 << 20) - 2, 10) == "bb");
  };
  expect_passes({{batch, Decision::kRollback}, {batch, Decision::kCommit}});
  EXPECT_EQ(real_content(path_).size(), size_t{20} << 20);
}

TEST_P(FileBatches, OneWriteLargerThanTheLimitIsTakenWhole) {
  const std::string all(40 << 20, 'a');
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_CREAT | O_RDWR);
                    REQUIRE_EQ(write_text(fd, all), 40 << 20);
                  },
                  Decision::kCommit}});
  EXPECT_TRUE(real_content(path_) == all);
}

TEST_P(FileBatches, ASuccessorCommitsWhatTheLostPrimaryMayNotHave) {
  expect_passes({{[&] {
                    const int fd = open_file(path_, O_CREAT | O_WRONLY);
                    REQUIRE_EQ(write_text(fd, "agreed"), 6);
                    REQUIRE_EQ(close_file(fd), 0);
                    // As a follower commits, and then learns that it is the primary now.
                    kernel::deck().command_sequence.fetch_add(1);
                    kernel::commit_files(false);
                    REQUIRE(real_content(path_).empty());
                    kernel::commit_files_again();
                    REQUIRE(real_content(path_) == "agreed");
                  },
                  Decision::kCommit}});
}

// ---- two replicas

class FilePair : public testing::Test {
 protected:
  void expect_agreement(const std::function<void()>& body) {
    const PairResult result = run_pair(body);
    EXPECT_EQ(result.primary, kPassed);
    EXPECT_EQ(result.follower, kPassed);
  }
  TemporaryDirectory directory_;
  std::string path_ = directory_ / "file";
};

TEST_F(FilePair, BothSucceedInWhatCanBeDoneOnce) {
  const std::string made = directory_ / "made";
  const std::string target = directory_ / "target";
  expect_agreement([&] {
    const int fd = open_file(path_, O_CREAT | O_EXCL | O_RDWR);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(write_text(fd, "data"), 4);
    REQUIRE_EQ(call(SYS_mkdir, made.c_str(), 0755), 0);
    REQUIRE_EQ(call(SYS_rename, path_.c_str(), target.c_str()), 0);
    REQUIRE_EQ(call(SYS_access, path_.c_str(), F_OK), -ENOENT);
    REQUIRE_EQ(size_by_path(target), 4);
    REQUIRE_EQ(call(SYS_rmdir, made.c_str()), 0);
    REQUIRE(read_from(fd, 0) == "data");
  });
  EXPECT_EQ(real_content(target), "data");
}

TEST_F(FilePair, TheFileIsWrittenOnce) {
  set_real_content(path_, "start\n");
  expect_agreement([&] {
    const int fd = open_file(path_, O_WRONLY | O_APPEND);
    for (int i = 0; i < 100; ++i) REQUIRE_EQ(write_text(fd, "line\n"), 5);
  });
  EXPECT_EQ(real_content(path_).size(), 6u + 500u);
}

// The primary is done long before the follower looks.
TEST_F(FilePair, AFollowerOpensAFileThatThePrimaryHasRemoved) {
  set_real_content(path_, "short-lived");
  expect_agreement([&] {
    const int fd = open_file(path_, O_RDONLY);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(call(SYS_unlink, path_.c_str()), 0);
    REQUIRE(read_from(fd, 0) == "short-lived");
  });
}

TEST_F(FilePair, BothListADirectoryAsItWas) {
  for (const char* name : {"a", "b", "c"}) set_real_content(directory_ / name, "");
  const std::string a = directory_ / "a";
  expect_agreement([&] {
    const int fd = open_file(directory_.path(), O_RDONLY | O_DIRECTORY);
    alignas(8) char entries[4096];
    const long bytes = call(SYS_getdents64, fd, entries, sizeof entries);
    REQUIRE(bytes > 0);
    const std::string all(entries, static_cast<size_t>(bytes));
    for (const char* name : {"a", "b", "c", ".."}) {
      REQUIRE(all.find(std::string(name) + '\0') != std::string::npos);
    }
    REQUIRE_EQ(call(SYS_getdents64, fd, entries, sizeof entries), 0);
    REQUIRE_EQ(call(SYS_unlinkat, fd, "a", 0), 0);
    REQUIRE_EQ(call(SYS_faccessat, fd, "a", F_OK), -ENOENT);
    REQUIRE_EQ(call(SYS_lseek, fd, 0, SEEK_SET), 0);
    REQUIRE(call(SYS_getdents64, fd, entries, sizeof entries) < bytes);
  });
}

// As is a directory that the primary has left and removed since.
TEST_F(FilePair, AFollowerStandsInADirectoryThatThePrimaryHasRemoved) {
  const std::string below = directory_ / "below";
  expect_agreement([&] {
    char name[4096];
    REQUIRE_EQ(call(SYS_mkdir, below.c_str(), 0755), 0);
    REQUIRE_EQ(call(SYS_chdir, below.c_str()), 0);
    REQUIRE(call(SYS_getcwd, name, sizeof name) > 0);
    REQUIRE(below == name);
    REQUIRE(open_file("relative", O_CREAT | O_RDWR) >= 0);
    REQUIRE_EQ(call(SYS_unlink, "relative"), 0);
    REQUIRE_EQ(call(SYS_chdir, "/"), 0);
    REQUIRE_EQ(call(SYS_rmdir, below.c_str()), 0);
  });
}

TEST_F(FilePair, LocksAreTakenOnce) {
  expect_agreement([&] {
    const int fd = open_file(path_, O_CREAT | O_RDWR);
    REQUIRE_EQ(call(SYS_flock, fd, LOCK_EX | LOCK_NB), 0);
    const int other = open_file(path_, O_RDWR);
    REQUIRE_EQ(call(SYS_flock, other, LOCK_EX | LOCK_NB), -EWOULDBLOCK);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    REQUIRE_EQ(kernel::lock_record(fd, F_SETLK, &whole), 0);
  });
}

TEST_F(FilePair, BothDrawTheSameRandomBytes) {
  struct Drawn {
    uint8_t bytes[2][2][100];
  };
  auto& drawn = shared<Drawn>();
  expect_agreement([&] {
    const uint32_t replica = kernel::replica_index();
    REQUIRE_EQ(call(SYS_getrandom, drawn.bytes[replica][0], 100, 0), 100);
    const int fd = open_file("/dev/urandom", O_RDONLY);
    REQUIRE_EQ(call(SYS_read, fd, drawn.bytes[replica][1], 100), 100);
  });
  EXPECT_EQ(std::memcmp(drawn.bytes[0], drawn.bytes[1], sizeof drawn.bytes[0]), 0);
  EXPECT_NE(std::memcmp(drawn.bytes[0][0], drawn.bytes[0][1], 100), 0);
}

TEST_F(FilePair, AFollowerThatAsksSomethingElseHasDiverged) {
  const PairResult result = run_pair([&] {
    const bool primary = kernel::replica_index() == 0;
    call(SYS_mkdir, (directory_ / (primary ? "a" : "b")).c_str(), 0755);
  });
  EXPECT_EQ(result.primary, kPassed);
  EXPECT_EQ(result.follower, kDiverged);
  EXPECT_TRUE(really_exists(directory_ / "a"));
  EXPECT_FALSE(really_exists(directory_ / "b"));
}

TEST_F(FilePair, AFollowerThatAsksMoreHasDiverged) {
  const PairResult result = run_pair([&] {
    if (kernel::replica_index() == 1) call(SYS_mkdir, path_.c_str(), 0755);
  });
  EXPECT_EQ(result.primary, kPassed);
  EXPECT_EQ(result.follower, kDiverged);
  EXPECT_FALSE(really_exists(path_));
}

}  // namespace
}  // namespace evenkeel::test
