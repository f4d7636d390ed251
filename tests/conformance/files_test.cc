// Regular files, directories and names.
#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

class Files : public testing::Test {
 protected:
  [[nodiscard]] Fd open_at(const std::string& name, int flags, mode_t mode = 0644) const {
    return Fd(open((directory_ / name).c_str(), flags, mode));
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream file(directory_ / name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void fill(const std::string& name, const std::string& text) const {
    const Fd fd = open_at(name, O_CREAT | O_TRUNC | O_WRONLY);
    ASSERT_EQ(put(fd, text), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] off_t size(const std::string& name) const {
    struct stat info {};
    return stat((directory_ / name).c_str(), &info) == 0 ? info.st_size : -1;
  }
  TemporaryDirectory directory_;
};

TEST_F(Files, ReadBackWhatWasWritten) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(put(fd, "hello world"), 11);
  EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(get(fd, 5), "hello");
  EXPECT_EQ(get(fd), " world");
  EXPECT_EQ(get(fd), "");
}

TEST_F(Files, AccessModeIsEnforced) {
  fill("f", "x");
  const Fd reader = open_at("f", O_RDONLY);
  const Fd writer = open_at("f", O_WRONLY);
  EXPECT_ERRNO(put(reader, "y"), EBADF);
  EXPECT_EQ(get(writer), "!EBADF");
  EXPECT_ERRNO(ftruncate(reader, 0), EINVAL);
  EXPECT_ERRNO(pwrite(reader, "y", 1, 0), EBADF);
}

TEST_F(Files, CreationFlags) {
  EXPECT_ERRNO(open((directory_ / "none").c_str(), O_RDONLY), ENOENT);
  const Fd made = open_at("f", O_CREAT | O_EXCL | O_RDWR, 0600);
  ASSERT_GE(made, 0);
  EXPECT_ERRNO(open((directory_ / "f").c_str(), O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
  EXPECT_ERRNO(open((directory_ / "f").c_str(), O_DIRECTORY | O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(open(directory_.path().c_str(), O_WRONLY), EISDIR);
  EXPECT_ERRNO(open((directory_ / "f/below").c_str(), O_RDONLY), ENOTDIR);
  struct stat info {};
  ASSERT_EQ(fstat(made, &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(Files, TruncatingOpenEmptiesTheFile) {
  fill("f", "long content");
  const Fd fd = open_at("f", O_WRONLY | O_TRUNC);
  EXPECT_EQ(size("f"), 0);
  EXPECT_EQ(put(fd, "ab"), 2);
  EXPECT_EQ(size("f"), 2);
}

TEST_F(Files, AppendGoesToTheEndWhereverTheOffsetIs) {
  fill("f", "one ");
  const Fd fd = open_at("f", O_RDWR | O_APPEND);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
  EXPECT_EQ(put(fd, "two "), 4);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 8);
  EXPECT_EQ(lseek(fd, 1, SEEK_SET), 1);
  EXPECT_EQ(put(fd, "three"), 5);
  EXPECT_EQ(content("f"), "one two three");
  EXPECT_TRUE((fcntl(fd, F_GETFL) & O_APPEND) != 0);
}

TEST_F(Files, AppendCanBeTurnedOnLater) {
  fill("f", "abc");
  const Fd fd = open_at("f", O_WRONLY);
  ASSERT_EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
  EXPECT_EQ(put(fd, "d"), 1);
  EXPECT_EQ(content("f"), "abcd");
}

TEST_F(Files, SeeksFromEverywhere) {
  fill("f", "0123456789");
  const Fd fd = open_at("f", O_RDWR);
  EXPECT_EQ(lseek(fd, -3, SEEK_END), 7);
  EXPECT_EQ(lseek(fd, 1, SEEK_CUR), 8);
  EXPECT_EQ(get(fd), "89");
  EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
  EXPECT_ERRNO(lseek(fd, 0, 99), EINVAL);
  EXPECT_EQ(lseek(fd, 100, SEEK_SET), 100);
  EXPECT_EQ(get(fd), "");
  EXPECT_EQ(put(fd, "z"), 1);
  EXPECT_EQ(size("f"), 101);
  EXPECT_EQ(lseek(fd, 0, SEEK_HOLE) > 0, true);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd in(ends[0]), out(ends[1]);
  EXPECT_ERRNO(lseek(in, 0, SEEK_SET), ESPIPE);
  EXPECT_ERRNO(pread(in, ends, 1, 0), ESPIPE);
}

TEST_F(Files, HolesReadAsZero) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(pwrite(fd, "end", 3, 10'000), 3);
  std::string text(10'003, 'x');
  EXPECT_EQ(pread(fd, text.data(), text.size(), 0), 10'003);
  EXPECT_EQ(text, std::string(10'000, '\0') + "end");
}

TEST_F(Files, PositionedCallsLeaveTheOffsetAlone) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(put(fd, "abcdef"), 6);
  char two[2];
  EXPECT_EQ(pread(fd, two, 2, 1), 2);
  EXPECT_EQ(std::string(two, 2), "bc");
  EXPECT_EQ(pwrite(fd, "XY", 2, 2), 2);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 6);
  EXPECT_EQ(content("f"), "abXYef");
  EXPECT_ERRNO(pread(fd, two, 2, -1), EINVAL);
}

TEST_F(Files, VectorsAreFilledInOrder) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  char a[] = "one", b[] = "", c[] = "three";
  const iovec out[] = {{a, 3}, {b, 0}, {c, 5}};
  EXPECT_EQ(writev(fd, out, 3), 8);
  EXPECT_EQ(pwritev(fd, out, 1, 20), 3);
  char x[4] = {}, y[10] = {};
  const iovec in[] = {{x, 4}, {y, 10}};
  EXPECT_EQ(preadv(fd, in, 2, 0), 14);
  EXPECT_EQ(std::string(x, 4), "onet");
  EXPECT_EQ(std::string(y, 4), "hree");
  EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(readv(fd, in, 2), 14);
  const std::vector<iovec> many(5000, iovec{x, 1});  // more than IOV_MAX
  EXPECT_ERRNO(readv(fd, many.data(), 5000), EINVAL);
}

TEST_F(Files, DuplicatesShareTheOffsetAndSecondOpensDoNot) {
  fill("f", "abcdef");
  const Fd fd = open_at("f", O_RDONLY);
  const Fd copy(dup(fd));
  const Fd second = open_at("f", O_RDONLY);
  EXPECT_EQ(get(fd, 2), "ab");
  EXPECT_EQ(get(copy, 2), "cd");
  EXPECT_EQ(get(second, 2), "ab");
}

TEST_F(Files, WritesThroughOneDescriptorAreSeenThroughAnother) {
  const Fd writer = open_at("f", O_CREAT | O_WRONLY);
  const Fd reader = open_at("f", O_RDONLY);
  EXPECT_EQ(put(writer, "first"), 5);
  EXPECT_EQ(get(reader), "first");
  EXPECT_EQ(put(writer, " second"), 7);
  EXPECT_EQ(get(reader), " second");
}

TEST_F(Files, TruncationCutsAndExtends) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(put(fd, "0123456789"), 10);
  EXPECT_EQ(ftruncate(fd, 4), 0);
  EXPECT_EQ(content("f"), "0123");
  EXPECT_EQ(ftruncate(fd, 6), 0);
  EXPECT_EQ(content("f"), std::string("0123\0\0", 6));
  EXPECT_EQ(truncate((directory_ / "f").c_str(), 1), 0);
  EXPECT_EQ(content("f"), "0");
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 10);
  EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
  EXPECT_ERRNO(truncate((directory_ / "none").c_str(), 0), ENOENT);
}

TEST_F(Files, AllocationExtends) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(posix_fallocate(fd, 0, 5000), 0);
  EXPECT_EQ(size("f"), 5000);
  EXPECT_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100'000), 0);
  EXPECT_EQ(size("f"), 5000);
  EXPECT_ERRNO(fallocate(fd, 0, -1, 10), EINVAL);
  EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
}

TEST_F(Files, StatusSaysWhatTheFileIs) {
  fill("f", "12345");
  struct stat by_path {
  }, by_fd{}, by_link{};
  const Fd fd = open_at("f", O_RDONLY);
  ASSERT_EQ(symlink("f", (directory_ / "l").c_str()), 0);
  ASSERT_EQ(stat((directory_ / "l").c_str(), &by_path), 0);
  ASSERT_EQ(fstat(fd, &by_fd), 0);
  ASSERT_EQ(lstat((directory_ / "l").c_str(), &by_link), 0);
  EXPECT_TRUE(S_ISREG(by_path.st_mode));
  EXPECT_EQ(by_path.st_size, 5);
  EXPECT_EQ(by_path.st_ino, by_fd.st_ino);
  EXPECT_EQ(by_path.st_dev, by_fd.st_dev);
  EXPECT_TRUE(S_ISLNK(by_link.st_mode));
  char target[10];
  EXPECT_EQ(readlink((directory_ / "l").c_str(), target, sizeof target), 1);
  EXPECT_EQ(target[0], 'f');
  EXPECT_ERRNO(readlink((directory_ / "f").c_str(), target, sizeof target), EINVAL);
  EXPECT_ERRNO(stat((directory_ / "none").c_str(), &by_path), ENOENT);
}

TEST_F(Files, ExtendedStatusAgrees) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(put(fd, "123456"), 6);
  struct statx by_path {
  }, by_fd{};
  ASSERT_EQ(statx(AT_FDCWD, (directory_ / "f").c_str(), 0, STATX_BASIC_STATS, &by_path), 0);
  ASSERT_EQ(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &by_fd), 0);
  EXPECT_EQ(by_path.stx_size, 6u);
  EXPECT_EQ(by_fd.stx_size, 6u);
  EXPECT_EQ(by_path.stx_ino, by_fd.stx_ino);
  EXPECT_ERRNO(statx(-1, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &by_fd), EBADF);
}

TEST_F(Files, KindsOfDescriptors) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd in(ends[0]), out(ends[1]);
  struct stat info {};
  ASSERT_EQ(fstat(in, &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
  const Fd null(open("/dev/null", O_RDWR));
  ASSERT_EQ(fstat(null, &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
  EXPECT_ERRNO(fstat(-1, &info), EBADF);
}

TEST_F(Files, NamesCanBeChanged) {
  fill("a", "content");
  EXPECT_EQ(rename((directory_ / "a").c_str(), (directory_ / "b").c_str()), 0);
  EXPECT_EQ(content("b"), "content");
  EXPECT_EQ(link((directory_ / "b").c_str(), (directory_ / "c").c_str()), 0);
  struct stat info {};
  ASSERT_EQ(stat((directory_ / "c").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_EQ(unlink((directory_ / "b").c_str()), 0);
  EXPECT_EQ(content("c"), "content");
  EXPECT_ERRNO(unlink((directory_ / "b").c_str()), ENOENT);
  EXPECT_ERRNO(rename((directory_ / "b").c_str(), (directory_ / "x").c_str()), ENOENT);
}

TEST_F(Files, AnUnlinkedFileLivesOnInItsDescriptors) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(put(fd, "ghost"), 5);
  EXPECT_EQ(unlink((directory_ / "f").c_str()), 0);
  EXPECT_ERRNO(access((directory_ / "f").c_str(), F_OK), ENOENT);
  char text[5];
  EXPECT_EQ(pread(fd, text, 5, 0), 5);
  EXPECT_EQ(std::string(text, 5), "ghost");
  struct stat info {};
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_EQ(info.st_nlink, 0u);
}

TEST_F(Files, DirectoriesAreMadeListedAndRemoved) {
  EXPECT_EQ(mkdir((directory_ / "d").c_str(), 0755), 0);
  EXPECT_ERRNO(mkdir((directory_ / "d").c_str(), 0755), EEXIST);
  std::set<std::string> expected = {".", ".."};
  for (int i = 0; i < 500; ++i) {
    const std::string name = "entry-with-a-rather-long-name-" + std::to_string(i);
    fill("d/" + name, "");
    expected.insert(name);
  }
  DIR* listing = opendir((directory_ / "d").c_str());
  ASSERT_NE(listing, nullptr);
  std::set<std::string> seen;
  while (const dirent* entry = readdir(listing)) {
    EXPECT_TRUE(seen.insert(entry->d_name).second) << entry->d_name;
  }
  EXPECT_EQ(seen, expected);
  rewinddir(listing);
  EXPECT_NE(readdir(listing), nullptr);
  EXPECT_ERRNO(rmdir((directory_ / "d").c_str()), ENOTEMPTY);
  char byte;
  EXPECT_EQ(read(dirfd(listing), &byte, 1), -1);
  EXPECT_TRUE(errno == EISDIR || errno == EINVAL);  // depends on the file system
  closedir(listing);
  EXPECT_EQ(mkdir((directory_ / "e").c_str(), 0755), 0);
  EXPECT_EQ(rmdir((directory_ / "e").c_str()), 0);
}

TEST_F(Files, CallsRelativeToADirectory) {
  const Fd directory(open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_GE(directory, 0);
  {
    const Fd fd(openat(directory, "f", O_CREAT | O_WRONLY, 0600));
    ASSERT_GE(fd, 0);
    EXPECT_EQ(put(fd, "abc"), 3);
  }
  EXPECT_EQ(faccessat(directory, "f", R_OK, 0), 0);
  struct stat info {};
  EXPECT_EQ(fstatat(directory, "f", &info, 0), 0);
  EXPECT_EQ(info.st_size, 3);
  EXPECT_EQ(mkdirat(directory, "d", 0700), 0);
  EXPECT_EQ(renameat(directory, "f", directory, "d/g"), 0);
  EXPECT_EQ(linkat(directory, "d/g", directory, "h", 0), 0);
  EXPECT_EQ(symlinkat("h", directory, "s"), 0);
  EXPECT_EQ(fchmodat(directory, "h", 0400, 0), 0);
  EXPECT_EQ(fstatat(directory, "s", &info, 0), 0);
  EXPECT_EQ(info.st_mode & 0777, 0400u);
  EXPECT_EQ(unlinkat(directory, "d/g", 0), 0);
  EXPECT_EQ(unlinkat(directory, "d", AT_REMOVEDIR), 0);
  const Fd file(openat(directory, "h", O_RDONLY));
  EXPECT_ERRNO(openat(file, "x", O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(openat(-1, "x", O_RDONLY), EBADF);
}

TEST_F(Files, ModesTimesAndOwners) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR, 0644);
  struct stat info {};
  EXPECT_EQ(fchmod(fd, 0600), 0);
  EXPECT_EQ(chmod((directory_ / "f").c_str(), 0640), 0);
  EXPECT_EQ(fchown(fd, getuid(), getgid()), 0);
  const timespec times[2] = {{1'000'000, 5}, {2'000'000, 7}};
  EXPECT_EQ(utimensat(AT_FDCWD, (directory_ / "f").c_str(), times, 0), 0);
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(info.st_atim.tv_sec, 1'000'000);
  EXPECT_EQ(info.st_mtim.tv_sec, 2'000'000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 7);
  EXPECT_EQ(futimens(fd, nullptr), 0);
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_GT(info.st_mtim.tv_sec, 2'000'000);
  const timeval older[2] = {{10, 0}, {20, 500'000}};
  EXPECT_EQ(utimes((directory_ / "f").c_str(), older), 0);
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_EQ(info.st_mtim.tv_nsec, 500'000'000);
}

TEST_F(Files, CreationModeIsMasked) {
  const mode_t before = umask(027);
  EXPECT_EQ(umask(027), 027u);
  const Fd fd = open_at("f", O_CREAT | O_RDWR, 0666);
  struct stat info {};
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  umask(before);
}

TEST_F(Files, WorkingDirectory) {
  char before[4096], now[4096];
  ASSERT_NE(getcwd(before, sizeof before), nullptr);
  ASSERT_EQ(chdir(directory_.path().c_str()), 0);
  ASSERT_NE(getcwd(now, sizeof now), nullptr);
  EXPECT_STREQ(now, directory_.path().c_str());
  {
    const Fd fd(open("relative", O_CREAT | O_WRONLY, 0600));
    EXPECT_EQ(put(fd, "x"), 1);
  }
  EXPECT_EQ(content("relative"), "x");
  ASSERT_EQ(chdir(before), 0);
  EXPECT_ERRNO(chdir((directory_ / "none").c_str()), ENOENT);
}

TEST_F(Files, SynchronisingSucceeds) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  EXPECT_EQ(put(fd, "x"), 1);
  EXPECT_EQ(fsync(fd), 0);
  EXPECT_EQ(fdatasync(fd), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd in(ends[0]), out(ends[1]);
  EXPECT_ERRNO(fsync(in), EINVAL);
  EXPECT_ERRNO(fsync(-1), EBADF);
}

TEST_F(Files, LocksExcludeOtherDescriptions) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  const Fd other = open_at("f", O_RDWR);
  EXPECT_EQ(flock(fd, LOCK_EX), 0);
  EXPECT_ERRNO(flock(other, LOCK_EX | LOCK_NB), EAGAIN);
  EXPECT_EQ(flock(fd, LOCK_UN), 0);
  EXPECT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  struct flock record {};
  record.l_type = F_WRLCK;
  EXPECT_EQ(fcntl(fd, F_SETLK, &record), 0);
  record.l_type = F_WRLCK;
  EXPECT_EQ(fcntl(fd, F_GETLK, &record), 0);
  EXPECT_EQ(record.l_type, F_UNLCK);  // one's own lock is in nobody's way
}

TEST_F(Files, BytesAheadOfTheOffset) {
  fill("f", "0123456789");
  const Fd fd = open_at("f", O_RDONLY);
  int bytes = -1;
  EXPECT_EQ(get(fd, 4), "0123");
  EXPECT_EQ(ioctl(fd, FIONREAD, &bytes), 0);
  EXPECT_EQ(bytes, 6);
  EXPECT_FALSE(isatty(fd));
  EXPECT_STREQ(strerrorname_np(errno), "ENOTTY");
}

TEST_F(Files, FileSystemStatus) {
  const Fd fd = open_at("f", O_CREAT | O_RDWR);
  struct statfs by_path {
  }, by_fd{};
  EXPECT_EQ(statfs(directory_.path().c_str(), &by_path), 0);
  EXPECT_EQ(fstatfs(fd, &by_fd), 0);
  EXPECT_EQ(by_path.f_type, by_fd.f_type);
}

TEST_F(Files, StreamsOfTheCLibrary) {
  FILE* file = fopen((directory_ / "f").c_str(), "w+");
  ASSERT_NE(file, nullptr);
  for (int i = 0; i < 3000; ++i) fprintf(file, "line %d\n", i);
  rewind(file);
  char line[64];
  int count = 0;
  while (fgets(line, sizeof line, file) != nullptr) {
    EXPECT_EQ(std::string(line), "line " + std::to_string(count++) + "\n");
  }
  EXPECT_EQ(count, 3000);
  fclose(file);
}

TEST_F(Files, ManyThreadsAppendWholeLines) {
  const Fd fd = open_at("log", O_CREAT | O_WRONLY | O_APPEND);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&fd, t] {
      const std::string line(20, static_cast<char>('a' + t));
      for (int i = 0; i < 100; ++i) EXPECT_EQ(put(fd, line + "\n"), 21);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::istringstream lines(content("log"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(line, std::string(20, line[0]));
  }
  EXPECT_EQ(count, 400);
}

TEST_F(Files, SendfileIntoAPipe) {
  fill("f", "0123456789");
  const Fd fd = open_at("f", O_RDONLY);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd in(ends[0]), out(ends[1]);
  off_t offset = 2;
  EXPECT_EQ(sendfile(out, fd, &offset, 3), 3);
  EXPECT_EQ(offset, 5);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
  EXPECT_EQ(sendfile(out, fd, nullptr, 100), 10);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 10);
  EXPECT_EQ(sendfile(out, fd, nullptr, 100), 0);
  EXPECT_EQ(get_all(in, 13), "2340123456789");
}

// ---- devices

TEST(Devices, NullZeroAndFull) {
  const Fd null(open("/dev/null", O_RDWR));
  EXPECT_EQ(put(null, "gone"), 4);
  EXPECT_EQ(get(null), "");
  const Fd zero(open("/dev/zero", O_RDWR));
  EXPECT_EQ(get(zero, 5), std::string(5, '\0'));
  EXPECT_EQ(put(zero, "gone"), 4);
  const Fd full(open("/dev/full", O_RDWR));
  EXPECT_ERRNO(put(full, "x"), ENOSPC);
  EXPECT_EQ(get(full, 3), std::string(3, '\0'));
}

TEST(Devices, RandomBytesDiffer) {
  const Fd random(open("/dev/urandom", O_RDONLY));
  const std::string first = get(random, 64), second = get(random, 64);
  EXPECT_EQ(first.size(), 64u);
  EXPECT_NE(first, second);
  EXPECT_NE(first, std::string(64, '\0'));
}

}  // namespace
}  // namespace conformance
