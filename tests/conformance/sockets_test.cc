// Stream sockets over loopback and Unix paths, both ends within this program.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <thread>
#include <vector>

#include "tests/conformance/support.h"

namespace conformance {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
const sockaddr* generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

sockaddr_in name_of(int fd) {
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  EXPECT_EQ(bytes, sizeof address);
  return address;
}
sockaddr_in peer_of(int fd) {
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  EXPECT_EQ(getpeername(fd, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  return address;
}
bool operator_equal(const sockaddr_in& a, const sockaddr_in& b) {
  return a.sin_family == b.sin_family && a.sin_port == b.sin_port &&
         a.sin_addr.s_addr == b.sin_addr.s_addr;
}

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &bytes), 0);
  return value;
}
void set_option(int fd, int level, int name, int value) {
  EXPECT_EQ(setsockopt(fd, level, name, &value, sizeof value), 0);
}

Fd make_socket(int flags = 0) { return Fd(socket(AF_INET, SOCK_STREAM | flags, 0)); }

// Listens on a port of the kernel's choice.
Fd make_listener(int flags = 0) {
  Fd fd = make_socket(flags);
  const sockaddr_in any = loopback(0);
  EXPECT_EQ(bind(fd, generic(any), sizeof any), 0);
  EXPECT_EQ(listen(fd, 128), 0);
  return fd;
}

struct Connected {
  Fd listener, client, server;
};
Connected connect_pair() {
  Connected result{make_listener(), make_socket(), Fd()};
  const sockaddr_in address = name_of(result.listener);
  std::thread acceptor([&] { result.server = Fd(accept(result.listener, nullptr, nullptr)); });
  EXPECT_EQ(connect(result.client, generic(address), sizeof address), 0);
  acceptor.join();
  EXPECT_GE(result.server, 0);
  return result;
}

// ---- before a connection

TEST(Sockets, AreCreatedWithFlags) {
  const Fd fd = make_socket(SOCK_NONBLOCK | SOCK_CLOEXEC);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_ERRNO(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
}

TEST(Sockets, OptionsReadBack) {
  const Fd fd = make_socket();
  for (const int name : {SO_REUSEADDR, SO_KEEPALIVE, SO_REUSEPORT, SO_BROADCAST}) {
    EXPECT_EQ(option_of(fd, SOL_SOCKET, name), 0) << name;
    set_option(fd, SOL_SOCKET, name, 1);
    EXPECT_EQ(option_of(fd, SOL_SOCKET, name), 1) << name;
    set_option(fd, SOL_SOCKET, name, 0);
    EXPECT_EQ(option_of(fd, SOL_SOCKET, name), 0) << name;
  }
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, 10'000);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_RCVBUF), 20'000);  // the kernel doubles it: socket(7)
  const linger wanted{1, 7};
  EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &wanted, sizeof wanted), 0);
  linger got{};
  socklen_t bytes = sizeof got;
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &bytes), 0);
  EXPECT_EQ(got.l_onoff, 1);
  EXPECT_EQ(got.l_linger, 7);
  const timeval timeout{3, 0};
  EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
  timeval back{};
  bytes = sizeof back;
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &back, &bytes), 0);
  EXPECT_EQ(back.tv_sec, 3);
}

TEST(Sockets, PortZeroBecomesAPort) {
  const Fd fd = make_socket();
  EXPECT_EQ(ntohs(name_of(fd).sin_port), 0);
  const sockaddr_in any = loopback(0);
  ASSERT_EQ(bind(fd, generic(any), sizeof any), 0);
  const sockaddr_in bound = name_of(fd);
  EXPECT_NE(ntohs(bound.sin_port), 0);
  EXPECT_EQ(ntohl(bound.sin_addr.s_addr), INADDR_LOOPBACK);
  EXPECT_ERRNO(bind(fd, generic(any), sizeof any), EINVAL);
}

TEST(Sockets, AnAddressIsTakenOnce) {
  const Fd first = make_listener();
  const sockaddr_in address = name_of(first);
  const Fd second = make_socket();
  const bool failed_to_bind = bind(second, generic(address), sizeof address) != 0;
  if (!failed_to_bind) {
    EXPECT_NE(listen(second, 1), 0);
  }
  EXPECT_STREQ(strerrorname_np(errno), "EADDRINUSE");
}

TEST(Sockets, ListenersSayThatTheyListen) {
  const Fd listener = make_listener(SOCK_NONBLOCK);
  EXPECT_EQ(option_of(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
  EXPECT_ERRNO(accept(listener, nullptr, nullptr), EAGAIN);
  pollfd fd{listener, POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 0), 0);
}

TEST(Sockets, UnconnectedOnesRefuse) {
  const Fd fd = make_socket();
  char byte;
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  EXPECT_ERRNO(recv(fd, &byte, 1, 0), ENOTCONN);
  EXPECT_ERRNO(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
  EXPECT_ERRNO(getpeername(fd, reinterpret_cast<sockaddr*>(&address), &bytes), ENOTCONN);
  EXPECT_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
  EXPECT_ERRNO(accept(fd, nullptr, nullptr), EINVAL);
  const Fd file(open("/dev/null", O_RDONLY));
  EXPECT_ERRNO(listen(file, 1), ENOTSOCK);
  EXPECT_ERRNO(accept(-1, nullptr, nullptr), EBADF);
}

TEST(Sockets, NobodyListensThere) {
  const Fd silent = make_socket();
  const sockaddr_in any = loopback(0);
  ASSERT_EQ(bind(silent, generic(any), sizeof any), 0);
  const sockaddr_in address = name_of(silent);
  const Fd fd = make_socket();
  EXPECT_ERRNO(connect(fd, generic(address), sizeof address), ECONNREFUSED);
}

// ---- connections

TEST(Connections, BothEndsKnowEachOther) {
  const Connected c = connect_pair();
  EXPECT_TRUE(operator_equal(name_of(c.client), peer_of(c.server)));
  EXPECT_TRUE(operator_equal(peer_of(c.client), name_of(c.server)));
  EXPECT_TRUE(operator_equal(name_of(c.server), name_of(c.listener)));
}

TEST(Connections, AcceptTellsThePeer) {
  const Fd listener = make_listener();
  const sockaddr_in address = name_of(listener);
  const Fd client = make_socket();
  std::thread connector([&] { EXPECT_EQ(connect(client, generic(address), sizeof address), 0); });
  sockaddr_in peer{};
  socklen_t bytes = sizeof peer;
  const Fd server(
      accept4(listener, reinterpret_cast<sockaddr*>(&peer), &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC));
  connector.join();
  ASSERT_GE(server, 0);
  EXPECT_EQ(bytes, sizeof peer);
  EXPECT_TRUE(operator_equal(peer, name_of(client)));
  EXPECT_EQ(get(server), "!EAGAIN");
  EXPECT_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
}

TEST(Connections, CarryBothWays) {
  const Connected c = connect_pair();
  EXPECT_EQ(put(c.client, "question"), 8);
  EXPECT_EQ(get_all(c.server, 8), "question");
  EXPECT_EQ(put(c.server, "answer"), 6);
  EXPECT_EQ(get_all(c.client, 6), "answer");
}

TEST(Connections, ReadsMayBePartial) {
  const Connected c = connect_pair();
  EXPECT_EQ(put(c.client, "abcdef"), 6);
  EXPECT_EQ(get_all(c.server, 2), "ab");
  EXPECT_EQ(get_all(c.server, 4), "cdef");
  set_nonblocking(c.server);
  EXPECT_EQ(get(c.server), "!EAGAIN");
}

TEST(Connections, HalfCloseEndsOneDirection) {
  const Connected c = connect_pair();
  EXPECT_EQ(put(c.client, "last words"), 10);
  EXPECT_EQ(shutdown(c.client, SHUT_WR), 0);
  EXPECT_EQ(get_all(c.server, 100), "last words");
  EXPECT_EQ(get(c.server), "");
  EXPECT_EQ(put(c.server, "still heard"), 11);
  EXPECT_EQ(get_all(c.client, 11), "still heard");
  EXPECT_ERRNO(send(c.client, "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(Connections, CloseEndsTheOtherSide) {
  Connected c = connect_pair();
  c.client.reset();
  EXPECT_EQ(get(c.server), "");
}

TEST(Connections, ManyBytesArriveInOrder) {
  const Connected c = connect_pair();
  std::string data;
  for (int i = 0; data.size() < 3'000'000; ++i) data += std::to_string(i) + ",";
  std::thread writer([&] {
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t wrote = write(c.client, data.data() + done, data.size() - done);
      ASSERT_GT(wrote, 0);
      done += static_cast<size_t>(wrote);
    }
    EXPECT_EQ(shutdown(c.client, SHUT_WR), 0);
  });
  EXPECT_TRUE(get_all(c.server, data.size() + 1) == data);
  writer.join();
}

TEST(Connections, AFullOneRefusesAndThenGoesOn) {
  const Connected c = connect_pair();
  set_nonblocking(c.client);
  const std::string block(65536, 'x');
  size_t sent = 0;
  ssize_t wrote;
  // Nobody reads: bounded by the buffers of both ends (net.ipv4.tcp_wmem, tcp_rmem).
  while (sent < (64u << 20) && (wrote = put(c.client, block)) > 0) {
    sent += static_cast<size_t>(wrote);
  }
  EXPECT_LT(sent, 64u << 20);
  EXPECT_STREQ(strerrorname_np(errno), "EAGAIN");
  std::thread reader([&] { EXPECT_EQ(get_all(c.server, sent).size(), sent); });
  pollfd fd{c.client, POLLOUT, 0};
  EXPECT_EQ(poll(&fd, 1, -1), 1);
  EXPECT_TRUE((fd.revents & POLLOUT) != 0);
  reader.join();
}

TEST(Connections, NonblockingConnectReportsItsEnd) {
  const Fd listener = make_listener();
  const sockaddr_in address = name_of(listener);
  const Fd client = make_socket(SOCK_NONBLOCK);
  const int result = connect(client, generic(address), sizeof address);
  if (result != 0) {
    EXPECT_STREQ(strerrorname_np(errno), "EINPROGRESS");
  }
  pollfd fd{client, POLLOUT, 0};
  EXPECT_EQ(poll(&fd, 1, -1), 1);
  EXPECT_EQ(option_of(client, SOL_SOCKET, SO_ERROR), 0);
  const Fd server(accept(listener, nullptr, nullptr));
  EXPECT_GE(server, 0);
  // Asked again, Linux first says that it is done, and from then on that it was.
  EXPECT_LE(connect(client, generic(address), sizeof address), 0);
  EXPECT_ERRNO(connect(client, generic(address), sizeof address), EISCONN);
}

TEST(Connections, SayHowMuchWaits) {
  const Connected c = connect_pair();
  EXPECT_EQ(put(c.client, "12345"), 5);
  pollfd fd{c.server, POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, -1), 1);
  int bytes = 0;
  EXPECT_EQ(ioctl(c.server, FIONREAD, &bytes), 0);
  EXPECT_EQ(bytes, 5);
  char text[5];
  EXPECT_EQ(recv(c.server, text, 5, MSG_PEEK), 5);
  EXPECT_EQ(recv(c.server, text, 5, 0), 5);
}

TEST(Connections, AnEventLoopServesManyClients) {
  constexpr int kClients = 20;
  const Fd listener = make_listener(SOCK_NONBLOCK);
  const sockaddr_in address = name_of(listener);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      const Fd fd = make_socket();
      ASSERT_EQ(connect(fd, generic(address), sizeof address), 0);
      for (int round = 0; round < 5; ++round) {
        const std::string text = std::to_string(i * 100 + round) + "\n";
        EXPECT_EQ(put(fd, text), static_cast<ssize_t>(text.size()));
        EXPECT_EQ(get_all(fd, text.size()), text);
      }
    });
  }
  const Fd set(epoll_create1(0));
  std::vector<Fd> open_fds;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener;
  ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, listener, &event), 0);
  for (int closed = 0; closed < kClients;) {
    epoll_event events[16];
    const int count = epoll_wait(set, events, 16, -1);
    ASSERT_GT(count, 0);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (accepted < 0) continue;
        event.data.fd = accepted;
        ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, accepted, &event), 0);
        open_fds.emplace_back(accepted);
        continue;
      }
      const std::string text = get(fd);
      if (text.empty()) {
        ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr), 0);
        ++closed;
      } else if (text[0] != '!') {
        EXPECT_EQ(put(fd, text), static_cast<ssize_t>(text.size()));
      }
    }
  }
  for (std::thread& client : clients) client.join();
}

// ---- Unix

TEST(UnixSockets, ListenAtAPath) {
  const TemporaryDirectory directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory / "socket";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  const Fd listener(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(bind(listener, name, sizeof address), 0);
  ASSERT_EQ(listen(listener, 10), 0);
  const Fd client(socket(AF_UNIX, SOCK_STREAM, 0));
  Fd server;
  std::thread acceptor([&] { server = Fd(accept(listener, nullptr, nullptr)); });
  ASSERT_EQ(connect(client, name, sizeof address), 0);
  acceptor.join();
  EXPECT_EQ(put(client, "hello"), 5);
  EXPECT_EQ(get_all(server, 5), "hello");
  EXPECT_EQ(unlink(path.c_str()), 0);
}

}  // namespace
}  // namespace conformance
