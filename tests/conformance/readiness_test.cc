// epoll, poll, select, timers, sleeping and clocks.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

constexpr long kMillisecond_ns = 1'000'000;

struct Pair {
  Fd a, b;
};
Pair make_pair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

void add(int set, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
}
void modify(int set, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event), 0);
}
// What one fd reports at once; 0: nothing.
uint32_t ready(int set, int fd) {
  epoll_event events[8];
  const int count = epoll_wait(set, events, 8, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == fd) return events[i].events;
  }
  return 0;
}

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  EXPECT_EQ(clock_gettime(clock, &time), 0);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// ---- epoll

TEST(Epoll, LevelReportsAgainUntilDrained) {
  const Fd set(epoll_create1(EPOLL_CLOEXEC));
  const Pair pair = make_pair();
  add(set, pair.a, EPOLLIN);
  EXPECT_EQ(ready(set, pair.a), 0u);
  EXPECT_EQ(put(pair.b, "ab"), 2);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(get(pair.a, 1), "a");
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(get(pair.a, 1), "b");
  EXPECT_EQ(ready(set, pair.a), 0u);
}

TEST(Epoll, EdgeReportsOncePerArrival) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  add(set, pair.a, EPOLLIN | EPOLLET);
  EXPECT_EQ(put(pair.b, "a"), 1);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(ready(set, pair.a), 0u);
  EXPECT_EQ(put(pair.b, "b"), 1);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(get(pair.a), "ab");
  EXPECT_EQ(ready(set, pair.a), 0u);
}

TEST(Epoll, EdgeReportsWhatIsThereWhenAdded) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  EXPECT_EQ(put(pair.b, "a"), 1);
  add(set, pair.a, EPOLLIN | EPOLLOUT | EPOLLET);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN | EPOLLOUT});
  EXPECT_EQ(ready(set, pair.a), 0u);
}

TEST(Epoll, OneShotIsSilentUntilRearmed) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  add(set, pair.a, EPOLLIN | EPOLLONESHOT);
  EXPECT_EQ(put(pair.b, "a"), 1);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(put(pair.b, "b"), 1);
  EXPECT_EQ(ready(set, pair.a), 0u);
  modify(set, pair.a, EPOLLIN | EPOLLONESHOT);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN});
}

TEST(Epoll, WritableUntilFull) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  add(set, pair.a, EPOLLOUT);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLOUT});
  const std::string block(8192, 'x');
  while (put(pair.a, block) > 0) {
  }
  EXPECT_EQ(ready(set, pair.a), 0u);
  std::string drained(1 << 20, '\0');
  while (read(pair.b, drained.data(), drained.size()) > 0) {
  }
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLOUT});
}

TEST(Epoll, HangUpsAreReportedUnasked) {
  const Fd set(epoll_create1(0));
  Pair pair = make_pair();
  add(set, pair.a, EPOLLIN | EPOLLRDHUP);
  EXPECT_EQ(shutdown(pair.b, SHUT_WR), 0);
  EXPECT_EQ(ready(set, pair.a), uint32_t{EPOLLIN | EPOLLRDHUP});
  modify(set, pair.a, 0);
  pair.b.reset();
  EXPECT_TRUE((ready(set, pair.a) & EPOLLHUP) != 0);
}

TEST(Epoll, ABrokenPipeIsAnError) {
  const Fd set(epoll_create1(0));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Fd in(ends[0]), out(ends[1]);
  add(set, out, EPOLLOUT);
  in.reset();
  EXPECT_TRUE((ready(set, out) & EPOLLERR) != 0);
}

TEST(Epoll, ChangesAndTheirErrors) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  epoll_event event{};
  event.events = EPOLLIN;
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_MOD, pair.a, &event), ENOENT);
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_DEL, pair.a, nullptr), ENOENT);
  add(set, pair.a, EPOLLIN);
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, pair.a, &event), EEXIST);
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, set, &event), EINVAL);
  EXPECT_ERRNO(epoll_ctl(pair.a, EPOLL_CTL_ADD, pair.b, &event), EINVAL);
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, -1, &event), EBADF);
  EXPECT_EQ(epoll_ctl(set, EPOLL_CTL_DEL, pair.a, nullptr), 0);
  EXPECT_EQ(put(pair.b, "x"), 1);
  EXPECT_EQ(ready(set, pair.a), 0u);
  EXPECT_ERRNO(epoll_wait(set, &event, 0, 0), EINVAL);
  EXPECT_ERRNO(epoll_create1(12345), EINVAL);
}

TEST(Epoll, RegularFilesCannotBeWatched) {
  const TemporaryDirectory directory;
  const Fd set(epoll_create1(0));
  const Fd file(open((directory / "f").c_str(), O_CREAT | O_RDWR, 0600));
  epoll_event event{};
  event.events = EPOLLIN;
  EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, file, &event), EPERM);
}

TEST(Epoll, AClosedDescriptorLeavesTheSet) {
  const Fd set(epoll_create1(0));
  Pair pair = make_pair();
  add(set, pair.a, EPOLLIN);
  EXPECT_EQ(put(pair.b, "x"), 1);
  pair.a.reset();
  epoll_event event;
  EXPECT_EQ(epoll_wait(set, &event, 1, 0), 0);
}

TEST(Epoll, CarriesTheCallersData) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.u64 = 0x0123456789abcdef;
  ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, pair.a, &event), 0);
  epoll_event got{};
  EXPECT_EQ(epoll_wait(set, &got, 1, -1), 1);
  EXPECT_EQ(got.data.u64, 0x0123456789abcdefu);
}

TEST(Epoll, ReportsAllInTurnWhenAskedForFew) {
  const Fd set(epoll_create1(0));
  std::vector<Pair> pairs;
  for (int i = 0; i < 6; ++i) {
    pairs.push_back(make_pair());
    add(set, pairs.back().a, EPOLLIN);
    EXPECT_EQ(put(pairs.back().b, "x"), 1);
  }
  std::set<int> seen;
  for (int round = 0; round < 3; ++round) {
    epoll_event events[2];
    ASSERT_EQ(epoll_wait(set, events, 2, 0), 2);
    for (const epoll_event& event : events) seen.insert(event.data.fd);
  }
  EXPECT_EQ(seen.size(), 6u);
}

TEST(Epoll, SetsNest) {
  const Fd inner(epoll_create1(0)), outer(epoll_create1(0));
  const Pair pair = make_pair();
  add(inner, pair.a, EPOLLIN);
  add(outer, inner, EPOLLIN);
  EXPECT_EQ(ready(outer, inner), 0u);
  EXPECT_EQ(put(pair.b, "x"), 1);
  EXPECT_EQ(ready(outer, inner), uint32_t{EPOLLIN});
  EXPECT_EQ(ready(inner, pair.a), uint32_t{EPOLLIN});
  EXPECT_EQ(get(pair.a), "x");
  EXPECT_EQ(ready(outer, inner), 0u);
}

TEST(Epoll, WakesAWaitingThread) {
  const Fd set(epoll_create1(0));
  const Pair pair = make_pair();
  const Fd ready_for_next(eventfd(0, 0));
  add(set, pair.a, EPOLLIN);
  std::thread waiter([&] {
    for (int i = 0; i < 50; ++i) {
      epoll_event event{};
      EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1);
      EXPECT_EQ(get(pair.a), std::to_string(i));
      const uint64_t one = 1;
      EXPECT_EQ(write(ready_for_next, &one, sizeof one), 8);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const std::string text = std::to_string(i);
    EXPECT_EQ(put(pair.b, text), static_cast<ssize_t>(text.size()));
    uint64_t count;
    EXPECT_EQ(read(ready_for_next, &count, sizeof count), 8);
  }
  waiter.join();
}

TEST(Epoll, TimesOut) {
  const Fd set(epoll_create1(0));
  epoll_event event;
  const uint64_t before = now_ns(CLOCK_MONOTONIC);
  EXPECT_EQ(epoll_wait(set, &event, 1, 20), 0);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, 20u * kMillisecond_ns);
}

// ---- poll and select

TEST(Poll, SaysWhatIsReady) {
  Pair pair = make_pair();
  pollfd fds[3] = {{pair.a, POLLIN | POLLOUT, 0}, {pair.b, POLLIN, 0}, {-1, POLLIN, 0}};
  EXPECT_EQ(poll(fds, 3, 0), 1);
  EXPECT_EQ(fds[0].revents, POLLOUT);
  EXPECT_EQ(fds[1].revents, 0);
  EXPECT_EQ(fds[2].revents, 0);
  EXPECT_EQ(put(pair.a, "x"), 1);
  EXPECT_EQ(poll(fds, 2, -1), 2);
  EXPECT_EQ(fds[1].revents, POLLIN);
  pair.b.reset();
  EXPECT_EQ(poll(fds, 1, 0), 1);
  EXPECT_TRUE((fds[0].revents & POLLHUP) != 0);
  pollfd bad{999, POLLIN, 0};
  EXPECT_EQ(poll(&bad, 1, 0), 1);
  EXPECT_EQ(bad.revents, POLLNVAL);
}

TEST(Poll, FilesAreAlwaysReady) {
  const TemporaryDirectory directory;
  const Fd file(open((directory / "f").c_str(), O_CREAT | O_RDWR, 0600));
  pollfd fd{file, POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&fd, 1, 0), 1);
  EXPECT_EQ(fd.revents, POLLIN | POLLOUT);
}

TEST(Poll, WaitsForAnotherThread) {
  const Pair pair = make_pair();
  std::thread other([&] { EXPECT_EQ(put(pair.b, "now"), 3); });
  pollfd fd{pair.a, POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, -1), 1);
  EXPECT_EQ(get(pair.a), "now");
  other.join();
}

TEST(Poll, TimesOut) {
  const uint64_t before = now_ns(CLOCK_MONOTONIC);
  EXPECT_EQ(poll(nullptr, 0, 15), 0);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, 15u * kMillisecond_ns);
}

TEST(Select, SaysWhatIsReady) {
  const Pair pair = make_pair();
  EXPECT_EQ(put(pair.b, "x"), 1);
  fd_set reading, writing;
  FD_ZERO(&reading);
  FD_ZERO(&writing);
  FD_SET(pair.a, &reading);
  FD_SET(pair.b, &reading);
  FD_SET(pair.b, &writing);
  timeval none{};
  const int limit = std::max<int>(pair.a, pair.b) + 1;
  EXPECT_EQ(select(limit, &reading, &writing, nullptr, &none), 2);
  EXPECT_TRUE(FD_ISSET(pair.a, &reading));
  EXPECT_FALSE(FD_ISSET(pair.b, &reading));
  EXPECT_TRUE(FD_ISSET(pair.b, &writing));
  const int closed = dup(pair.a);  // a number that the table has room for
  close(closed);
  FD_ZERO(&reading);
  FD_SET(closed, &reading);
  EXPECT_ERRNO(select(closed + 1, &reading, nullptr, nullptr, &none), EBADF);
}

TEST(Select, TimesOutAndSaysNothingIsLeft) {
  timeval timeout{0, 15'000};
  const uint64_t before = now_ns(CLOCK_MONOTONIC);
  EXPECT_EQ(select(0, nullptr, nullptr, nullptr, &timeout), 0);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, 15u * kMillisecond_ns);
  EXPECT_EQ(timeout.tv_sec, 0);
  EXPECT_EQ(timeout.tv_usec, 0);
}

// ---- timers

uint64_t expirations(int fd) {
  uint64_t count = 0;
  return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

TEST(Timerfd, ExpiresOnce) {
  const Fd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const itimerspec once{{0, 0}, {0, 10 * kMillisecond_ns}};
  const uint64_t before = now_ns(CLOCK_MONOTONIC);
  ASSERT_EQ(timerfd_settime(fd, 0, &once, nullptr), 0);
  EXPECT_EQ(expirations(fd), 1u);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, 10u * kMillisecond_ns);
  itimerspec left{};
  ASSERT_EQ(timerfd_gettime(fd, &left), 0);
  EXPECT_EQ(left.it_value.tv_sec, 0);
  EXPECT_EQ(left.it_value.tv_nsec, 0);
  set_nonblocking(fd);
  EXPECT_EQ(expirations(fd), 0u);
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
}

TEST(Timerfd, RepeatsAndCounts) {
  const Fd fd(timerfd_create(CLOCK_MONOTONIC, 0));
  const itimerspec each{{0, 5 * kMillisecond_ns}, {0, 5 * kMillisecond_ns}};
  ASSERT_EQ(timerfd_settime(fd, 0, &each, nullptr), 0);
  uint64_t seen = 0;
  const uint64_t before = now_ns(CLOCK_MONOTONIC);
  while (seen < 6) seen += expirations(fd);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, 25u * kMillisecond_ns);
}

TEST(Timerfd, AbsoluteTimesAndDisarming) {
  const Fd fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
  timespec soon{};
  ASSERT_EQ(clock_gettime(CLOCK_MONOTONIC, &soon), 0);
  soon.tv_sec += 1000;
  const itimerspec late{{0, 0}, soon};
  ASSERT_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &late, nullptr), 0);
  itimerspec left{};
  const itimerspec off{};
  ASSERT_EQ(timerfd_settime(fd, 0, &off, &left), 0);
  EXPECT_GT(left.it_value.tv_sec, 990);
  EXPECT_LE(left.it_value.tv_sec, 1000);
  EXPECT_EQ(expirations(fd), 0u);
  const itimerspec past{{0, 0}, {0, 1}};
  ASSERT_EQ(timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, nullptr), 0);
  pollfd poller{fd, POLLIN, 0};
  EXPECT_EQ(poll(&poller, 1, 1000), 1);
  EXPECT_EQ(expirations(fd), 1u);
  const itimerspec wrong{{0, 0}, {0, 2'000'000'000}};
  EXPECT_ERRNO(timerfd_settime(fd, 0, &wrong, nullptr), EINVAL);
}

TEST(Timerfd, CanBeWatched) {
  const Fd set(epoll_create1(0));
  const Fd fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
  add(set, fd, EPOLLIN);
  const itimerspec once{{0, 0}, {0, 10 * kMillisecond_ns}};
  ASSERT_EQ(timerfd_settime(fd, 0, &once, nullptr), 0);
  epoll_event event{};
  EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1);
  EXPECT_EQ(expirations(fd), 1u);
}

// ---- sleeping and clocks

TEST(Clocks, SleepLastsAtLeastAsLong) {
  for (const long ns : {1L, 1'000'000L, 20'000'000L}) {
    const timespec wanted{0, ns};
    const uint64_t before = now_ns(CLOCK_MONOTONIC);
    EXPECT_EQ(nanosleep(&wanted, nullptr), 0);
    EXPECT_GE(now_ns(CLOCK_MONOTONIC) - before, static_cast<uint64_t>(ns));
  }
}

TEST(Clocks, AbsoluteSleepEndsAfterItsTime) {
  const uint64_t target = now_ns(CLOCK_MONOTONIC) + 10 * kMillisecond_ns;
  const timespec at{static_cast<time_t>(target / 1'000'000'000),
                    static_cast<long>(target % 1'000'000'000)};
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr), 0);
  EXPECT_GE(now_ns(CLOCK_MONOTONIC), target);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr), 0);
  const timespec wrong{0, -1};
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, nullptr), EINVAL);
}

TEST(Clocks, NeverGoBack) {
  uint64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = now_ns(CLOCK_MONOTONIC);
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clocks, AgreeOnTheDate) {
  timeval of_day{};
  ASSERT_EQ(gettimeofday(&of_day, nullptr), 0);
  const time_t seconds = time(nullptr);
  const uint64_t realtime = now_ns(CLOCK_REALTIME);
  EXPECT_LE(of_day.tv_sec, seconds + 1);
  EXPECT_LE(std::abs(static_cast<long>(realtime / 1'000'000'000) - seconds), 1);
  EXPECT_GT(seconds, 1'600'000'000);
  timespec time{};
  EXPECT_ERRNO(clock_gettime(1234, &time), EINVAL);
}

}  // namespace
}  // namespace conformance
