// Descriptors, pipes, socket pairs and eventfds: the numbers, the flags, the ends.
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

struct Pipe {
  Fd in, out;
};
Pipe make_pipe(int flags = 0) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, flags), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}
struct Pair {
  Fd a, b;
};
Pair make_pair(int flags = 0) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

// ---- numbers and flags

TEST(Descriptors, TheLowestFreeNumberIsTaken) {
  Fd first(dup(STDOUT_FILENO));
  const Fd second(dup(STDOUT_FILENO));
  const int number = first;
  EXPECT_GT(second, first);
  first.reset();
  const Fd again(dup(STDOUT_FILENO));
  EXPECT_EQ(again, number);
}

TEST(Descriptors, DuplicatesShareStatusButNotCloseOnExec) {
  const Pipe pipe = make_pipe(O_CLOEXEC);
  const Fd copy(dup(pipe.in));
  EXPECT_EQ(fcntl(pipe.in, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(copy, F_GETFD), 0);
  set_nonblocking(pipe.in);
  EXPECT_TRUE((fcntl(copy, F_GETFL) & O_NONBLOCK) != 0);
  EXPECT_EQ(get(copy), "!EAGAIN");
}

TEST(Descriptors, DuplicationToANumber) {
  const Pipe one = make_pipe(), two = make_pipe();
  EXPECT_EQ(put(one.out, "1"), 1);
  EXPECT_EQ(dup2(one.in, two.in), static_cast<int>(two.in));
  EXPECT_EQ(get(two.in), "1");
  EXPECT_EQ(dup2(one.in, one.in), static_cast<int>(one.in));
  EXPECT_ERRNO(dup3(one.in, one.in, 0), EINVAL);
  EXPECT_ERRNO(dup2(-1, two.in), EBADF);
  EXPECT_ERRNO(dup2(one.in, -1), EBADF);
  EXPECT_EQ(dup3(one.in, two.in, O_CLOEXEC), static_cast<int>(two.in));
  EXPECT_EQ(fcntl(two.in, F_GETFD), FD_CLOEXEC);
}

TEST(Descriptors, DuplicationAboveANumber) {
  const Fd high(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 200));
  EXPECT_GE(high, 200);
  EXPECT_EQ(fcntl(high, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(high, F_SETFD, 0), 0);
  EXPECT_EQ(fcntl(high, F_GETFD), 0);
  EXPECT_ERRNO(fcntl(STDOUT_FILENO, F_DUPFD, -1), EINVAL);
}

TEST(Descriptors, AClosedNumberIsBad) {
  const int fd = dup(STDOUT_FILENO);
  EXPECT_EQ(close(fd), 0);
  EXPECT_ERRNO(close(fd), EBADF);
  EXPECT_ERRNO(fcntl(fd, F_GETFD), EBADF);
  EXPECT_EQ(get(fd), "!EBADF");
  EXPECT_ERRNO(put(fd, "x"), EBADF);
  EXPECT_ERRNO(dup(fd), EBADF);
  EXPECT_ERRNO(close(-1), EBADF);
}

TEST(Descriptors, TheLimitHolds) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Fd> open_fds;
  int error = 0;
  for (int i = 0; i < 25 && error == 0; ++i) {
    const int fd = dup(STDOUT_FILENO);
    if (fd < 0) error = errno;
    if (fd >= 0) open_fds.emplace_back(fd);
  }
  EXPECT_EQ(error, EMFILE);
  ASSERT_FALSE(open_fds.empty());
  EXPECT_EQ(static_cast<int>(open_fds.back()), 19);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// ---- pipes

TEST(Pipes, DeliverInOrder) {
  const Pipe pipe = make_pipe();
  EXPECT_EQ(put(pipe.out, "abc"), 3);
  EXPECT_EQ(put(pipe.out, "def"), 3);
  EXPECT_EQ(get(pipe.in, 4), "abcd");
  EXPECT_EQ(get(pipe.in), "ef");
}

TEST(Pipes, SayHowMuchWaits) {
  const Pipe pipe = make_pipe();
  int bytes = -1;
  EXPECT_EQ(put(pipe.out, "12345"), 5);
  EXPECT_EQ(ioctl(pipe.in, FIONREAD, &bytes), 0);
  EXPECT_EQ(bytes, 5);
}

TEST(Pipes, EndWhenTheLastWriterCloses) {
  Pipe pipe = make_pipe();
  Fd second(dup(pipe.out));
  EXPECT_EQ(put(pipe.out, "rest"), 4);
  pipe.out.reset();
  set_nonblocking(pipe.in);
  EXPECT_EQ(get(pipe.in), "rest");
  EXPECT_EQ(get(pipe.in), "!EAGAIN");
  second.reset();
  EXPECT_EQ(get(pipe.in), "");
  EXPECT_EQ(get(pipe.in), "");
}

TEST(Pipes, BreakWhenTheLastReaderCloses) {
  ASSERT_NE(signal(SIGPIPE, SIG_IGN), SIG_ERR);
  Pipe pipe = make_pipe();
  pipe.in.reset();
  EXPECT_ERRNO(put(pipe.out, "x"), EPIPE);
  ASSERT_NE(signal(SIGPIPE, SIG_DFL), SIG_ERR);
}

volatile sig_atomic_t g_broken = 0;

TEST(Pipes, SignalTheWriterThatTheyAreBroken) {
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { g_broken = g_broken + 1; };
  ASSERT_EQ(sigaction(SIGPIPE, &action, &before), 0);
  Pipe pipe = make_pipe();
  pipe.in.reset();
  EXPECT_ERRNO(put(pipe.out, "x"), EPIPE);
  EXPECT_EQ(g_broken, 1);
  ASSERT_EQ(sigaction(SIGPIPE, &before, nullptr), 0);
}

TEST(Pipes, FillUp) {
  const Pipe pipe = make_pipe(O_NONBLOCK);
  const std::string block(4096, 'x');
  size_t total = 0;
  ssize_t wrote;
  while ((wrote = put(pipe.out, block)) > 0) total += static_cast<size_t>(wrote);
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
  EXPECT_EQ(total, 65536u);
  EXPECT_EQ(get(pipe.in, 4096).size(), 4096u);
  EXPECT_EQ(put(pipe.out, block), 4096);
}

TEST(Pipes, AWriteUpToTheAtomicSizeIsNotSplit) {
  const Pipe pipe = make_pipe(O_NONBLOCK);
  const std::string most(65536 - 100, 'x');
  EXPECT_EQ(put(pipe.out, most), 65436);
  EXPECT_ERRNO(put(pipe.out, std::string(4096, 'y')), EAGAIN);
}

TEST(Pipes, ABlockedWriterGoesOnWhenThereIsRoom) {
  const Pipe pipe = make_pipe();
  const std::string data(200'000, 'd');
  std::thread writer([&] { EXPECT_EQ(put(pipe.out, data), 200'000); });
  EXPECT_EQ(get_all(pipe.in, data.size()), data);
  writer.join();
}

TEST(Pipes, ABlockedReaderIsWoken) {
  Pipe there = make_pipe(), back = make_pipe();
  std::thread echo([&] {
    for (std::string text; !(text = get(there.in)).empty();) put(back.out, text);
    back.out.reset();
  });
  for (int i = 0; i < 100; ++i) {
    const std::string text = "message " + std::to_string(i);
    EXPECT_EQ(put(there.out, text), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(get(back.in), text);
  }
  there.out.reset();
  EXPECT_EQ(get(back.in), "");
  echo.join();
}

TEST(Pipes, DirectionsAreEnforced) {
  const Pipe pipe = make_pipe();
  EXPECT_ERRNO(put(pipe.in, "x"), EBADF);
  EXPECT_EQ(get(pipe.out), "!EBADF");
  EXPECT_ERRNO(pipe2(nullptr, 077777777), EINVAL);
}

TEST(Pipes, NothingIsANoOperation) {
  const Pipe pipe = make_pipe(O_NONBLOCK);
  EXPECT_EQ(put(pipe.out, ""), 0);
  EXPECT_EQ(get(pipe.in), "!EAGAIN");
}

TEST(Pipes, BadPointersAreErrorsAndLoseNothing) {
  const Pipe pipe = make_pipe(O_NONBLOCK);
  EXPECT_EQ(put(pipe.out, "abc"), 3);
  for (const uintptr_t address : {uintptr_t{0}, uintptr_t{4096}, UINTPTR_MAX / 2 + 1}) {
    void* volatile nowhere = reinterpret_cast<void*>(address);
    EXPECT_ERRNO(read(pipe.in, nowhere, 3), EFAULT);
    EXPECT_ERRNO(write(pipe.out, nowhere, 3), EFAULT);
    char good[2];
    const iovec vectors[] = {{nowhere, 2}, {good, 2}};
    EXPECT_ERRNO(readv(pipe.in, vectors, 2), EFAULT);
  }
  EXPECT_EQ(get(pipe.in), "abc");
}

// ---- socket pairs

TEST(Pairs, CarryBothWays) {
  const Pair pair = make_pair();
  EXPECT_EQ(put(pair.a, "to b"), 4);
  EXPECT_EQ(put(pair.b, "to a"), 4);
  EXPECT_EQ(get(pair.a), "to a");
  EXPECT_EQ(get(pair.b), "to b");
}

TEST(Pairs, HalfCloseEndsOneDirection) {
  const Pair pair = make_pair();
  EXPECT_EQ(put(pair.a, "last"), 4);
  EXPECT_EQ(shutdown(pair.a, SHUT_WR), 0);
  EXPECT_EQ(get(pair.b), "last");
  EXPECT_EQ(get(pair.b), "");
  EXPECT_EQ(put(pair.b, "answer"), 6);
  EXPECT_EQ(get(pair.a), "answer");
  EXPECT_ERRNO(send(pair.a, "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(Pairs, CloseEndsBoth) {
  Pair pair = make_pair();
  EXPECT_EQ(put(pair.a, "rest"), 4);
  pair.a.reset();
  EXPECT_EQ(get(pair.b), "rest");
  EXPECT_EQ(get(pair.b), "");
  EXPECT_ERRNO(send(pair.b, "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(Pairs, PeekLeavesTheBytes) {
  const Pair pair = make_pair();
  EXPECT_EQ(put(pair.a, "abc"), 3);
  char text[3];
  EXPECT_EQ(recv(pair.b, text, 2, MSG_PEEK), 2);
  EXPECT_EQ(recv(pair.b, text, 3, 0), 3);
  EXPECT_EQ(recv(pair.b, text, 3, MSG_DONTWAIT), -1);
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
}

TEST(Pairs, WaitForAllOfIt) {
  const Pair pair = make_pair();
  std::thread sender([&] {
    for (const char* piece : {"one", "two", "three"}) put(pair.a, piece);
  });
  char text[11];
  EXPECT_EQ(recv(pair.b, text, sizeof text, MSG_WAITALL), 11);
  EXPECT_EQ(std::string(text, 11), "onetwothree");
  sender.join();
}

TEST(Pairs, MessagesGatherAndScatter) {
  const Pair pair = make_pair();
  char a[] = "ab", b[] = "cde";
  iovec out[] = {{a, 2}, {b, 3}};
  msghdr message{};
  message.msg_iov = out;
  message.msg_iovlen = 2;
  EXPECT_EQ(sendmsg(pair.a, &message, 0), 5);
  char x[1], y[9];
  iovec in[] = {{x, 1}, {y, 9}};
  message.msg_iov = in;
  EXPECT_EQ(recvmsg(pair.b, &message, 0), 5);
  EXPECT_EQ(x[0], 'a');
  EXPECT_EQ(std::string(y, 4), "bcde");
}

TEST(Pairs, AreStreamSockets) {
  const Pair pair = make_pair(SOCK_CLOEXEC | SOCK_NONBLOCK);
  int type = 0, domain = 0;
  socklen_t bytes = sizeof type;
  EXPECT_EQ(getsockopt(pair.a, SOL_SOCKET, SO_TYPE, &type, &bytes), 0);
  EXPECT_EQ(type, SOCK_STREAM);
  EXPECT_EQ(getsockopt(pair.a, SOL_SOCKET, SO_DOMAIN, &domain, &bytes), 0);
  EXPECT_EQ(domain, AF_UNIX);
  EXPECT_EQ(fcntl(pair.a, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(get(pair.a), "!EAGAIN");
  struct stat info {};
  EXPECT_EQ(fstat(pair.a, &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
}

TEST(Pairs, NonblockingByIoctl) {
  const Pair pair = make_pair();
  int on = 1;
  EXPECT_EQ(ioctl(pair.a, FIONBIO, &on), 0);
  EXPECT_EQ(get(pair.a), "!EAGAIN");
  EXPECT_TRUE((fcntl(pair.a, F_GETFL) & O_NONBLOCK) != 0);
}

// ---- eventfd

uint64_t take(int fd) {
  uint64_t value = 0;
  return read(fd, &value, sizeof value) == sizeof value ? value : UINT64_MAX;
}
bool give(int fd, uint64_t value) { return write(fd, &value, sizeof value) == sizeof value; }

TEST(Eventfds, AddUpAndResetWhenRead) {
  const Fd fd(eventfd(3, EFD_NONBLOCK));
  EXPECT_TRUE(give(fd, 4));
  EXPECT_EQ(take(fd), 7u);
  EXPECT_EQ(take(fd), UINT64_MAX);
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
}

TEST(Eventfds, CountDownAsSemaphores) {
  const Fd fd(eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE));
  EXPECT_EQ(take(fd), 1u);
  EXPECT_EQ(take(fd), 1u);
  EXPECT_EQ(take(fd), UINT64_MAX);
}

TEST(Eventfds, RefuseWhatDoesNotFit) {
  const Fd fd(eventfd(0, EFD_NONBLOCK));
  EXPECT_FALSE(give(fd, UINT64_MAX));
  EXPECT_STREQ(strerrorname_np(errno), "EINVAL");
  EXPECT_TRUE(give(fd, UINT64_MAX - 1));
  EXPECT_FALSE(give(fd, 1));
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
  char small[4];
  EXPECT_ERRNO(read(fd, small, sizeof small), EINVAL);
}

TEST(Eventfds, WakeABlockedReader) {
  const Fd there(eventfd(0, 0)), back(eventfd(0, 0));
  std::thread other([&] {
    for (uint64_t i = 1; i <= 100; ++i) {
      EXPECT_EQ(take(there), i);
      EXPECT_TRUE(give(back, i));
    }
  });
  for (uint64_t i = 1; i <= 100; ++i) {
    EXPECT_TRUE(give(there, i));
    EXPECT_EQ(take(back), i);
  }
  other.join();
}

// ---- syslog: nobody need listen, but the caller must not notice

TEST(Syslog, CanBeWrittenTo) {
  openlog("conformance", LOG_PID, LOG_USER);
  syslog(LOG_DEBUG, "a message of the conformance tests");
  closelog();
}

}  // namespace
}  // namespace conformance
