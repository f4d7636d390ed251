#include "runtime/host/network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "runtime/host/deck.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kPatienceNs = 10'000'000'000;

class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    ASSERT_EQ(::listen(socket.get(), 16), 0);
    socklen_t bytes = sizeof address_;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address_), &bytes);
    listener_ = network_.add_listener(std::move(socket));
  }

  Fd dial() {
    Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    return client;
  }
  static void send(const Fd& client, const std::string& text) {
    EXPECT_EQ(::send(client.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  // Gathers until the batch holds `count` inputs.
  void gather(uint32_t count) {
    uint64_t woke = 0;
    while (batch_.count() < count) {
      const uint32_t before = batch_.count();
      network_.gather(batch_, kPatienceNs, woke);
      if (batch_.count() == before && !network_.has_leftover()) break;
    }
    ASSERT_GE(batch_.count(), count);
  }
  // Nothing more is there.
  void expect_quiet() {
    const uint32_t before = batch_.count();
    uint64_t woke = 0;
    network_.gather(batch_, 0, woke);
    EXPECT_EQ(batch_.count(), before);
  }
  std::string text(uint32_t index) {
    const wire::Input& input = batch_.input(index);
    return {reinterpret_cast<const char*>(batch_.payload(input)), input.bytes};
  }
  wire::InputKind kind(uint32_t index) { return batch_.input(index).kind; }

  Deck deck_;
  Batch batch_{*deck_};
  Connections connections_;
  Network network_{connections_};
  sockaddr_in address_{};
  uint32_t listener_ = 0;
};

TEST_F(NetworkTest, AcceptsWithBothAddresses) {
  const Fd client = dial();
  gather(1);
  const wire::Input& input = batch_.input(0);
  EXPECT_EQ(input.kind, wire::InputKind::kOpened);
  EXPECT_EQ(input.listener, listener_);
  wire::OpenedPayload payload;
  std::memcpy(&payload, batch_.payload(input), sizeof payload);
  sockaddr_in own{};
  socklen_t bytes = sizeof own;
  ::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &bytes);
  EXPECT_EQ(payload.peer.bytes, bytes);
  EXPECT_EQ(std::memcmp(payload.peer.data, &own, bytes), 0);
  EXPECT_EQ(std::memcmp(payload.local.data, &address_, bytes), 0);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  const int fd = connections_.at(connections_.slot_of(input.channel)).fd;
  ::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
  EXPECT_EQ(no_delay, 1);
}

TEST_F(NetworkTest, ReadsOnceAndIsQuietUntilMoreComes) {
  const Fd client = dial();
  send(client, "first");
  gather(2);
  EXPECT_EQ(text(1), "first");
  expect_quiet();
  send(client, "second");
  gather(3);
  EXPECT_EQ(text(2), "second");
}

TEST_F(NetworkTest, WhatIsTooLargeForABatchComesWithTheNext) {
  const Fd client = dial();
  gather(1);
  const std::string large(wire::kInputBytesPerChannel, 'l');
  const Fd sender(::dup(client.get()));
  size_t sent = 0;
  std::string received;
  batch_.clear();
  while (received.size() < large.size() + 5) {
    const std::string rest = sent < large.size() ? large.substr(sent) : "after";
    if (sent < large.size() + 5) {
      const ssize_t bytes = ::send(client.get(), rest.data(), rest.size(), MSG_DONTWAIT);
      if (bytes > 0) sent += static_cast<size_t>(bytes);
    }
    gather(1);
    for (uint32_t i = 0; i < batch_.count(); ++i) {
      EXPECT_LE(batch_.input(i).bytes, wire::kInputBytesPerChannel);
      received += text(i);
    }
    batch_.clear();
  }
  EXPECT_EQ(received, large + "after");
}

TEST_F(NetworkTest, DataAndItsEndComeTogether) {
  const Fd client = dial();
  gather(1);
  send(client, "last words");
  ::shutdown(client.get(), SHUT_WR);
  gather(3);
  EXPECT_EQ(text(1), "last words");
  EXPECT_EQ(kind(2), wire::InputKind::kEof);
  expect_quiet();  // and once
}

TEST_F(NetworkTest, ResetIsDeliveredOnce) {
  Fd client = dial();
  gather(1);
  const linger reset{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client.reset();
  gather(2);
  EXPECT_EQ(kind(1), wire::InputKind::kReset);
  EXPECT_EQ(batch_.input(1).value, ECONNRESET);
  connections_.deliver_notes(batch_);
  expect_quiet();
}

TEST_F(NetworkTest, APausedConnectionIsReadAfterItResumes) {
  const Fd client = dial();
  gather(1);
  const uint32_t slot = connections_.slot_of(batch_.input(0).channel);
  connections_.at(slot).flags |= kServerPaused;
  send(client, "patience");
  expect_quiet();
  connections_.at(slot).flags &= ~kServerPaused;
  network_.resume(slot);
  EXPECT_TRUE(network_.has_leftover());
  gather(2);
  EXPECT_EQ(text(1), "patience");
}

TEST_F(NetworkTest, AFullBatchLosesNothing) {
  const Fd client = dial();
  gather(1);
  while (batch_.has_room()) batch_.add(wire::InputKind::kEof, 1, 0);
  const uint32_t full = batch_.count();
  send(client, "waits");
  const Fd another = dial();
  uint64_t woke = 0;
  network_.gather(batch_, kPatienceNs, woke);
  EXPECT_EQ(batch_.count(), full);
  batch_.clear();
  gather(2);
  const bool data_first = kind(0) == wire::InputKind::kData;
  EXPECT_EQ(text(data_first ? 0 : 1), "waits");
  EXPECT_EQ(kind(data_first ? 1 : 0), wire::InputKind::kOpened);
}

TEST_F(NetworkTest, WithoutDescriptorsClientsWaitInsteadOfBeingLost) {
  std::vector<Fd> clients;
  clients.push_back(dial());
  clients.push_back(dial());
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  const int next = ::dup(0);  // the number that accepting would use
  ::close(next);
  const rlimit tight{static_cast<rlim_t>(next) + 1, old.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &tight);
  gather(1);
  expect_quiet();  // and does not spin: the listener is silent while accepting is paused
  ::setrlimit(RLIMIT_NOFILE, &old);
  connections_.server_closed(connections_.slot_of(batch_.input(0).channel));
  gather(2);
  EXPECT_EQ(kind(1), wire::InputKind::kOpened);
}

TEST_F(NetworkTest, OutboundConnectionsReportHowTheyEnded) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int result =
      ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_);
  const wire::Channel channel = wire::kVirtualSocketBase + 1;
  ASSERT_TRUE(network_.add_outbound(std::move(socket), channel, result == 0));
  gather(2);  // kConnected here, kOpened at the listener, in either order
  const uint32_t connected = kind(0) == wire::InputKind::kConnected ? 0 : 1;
  EXPECT_EQ(kind(connected), wire::InputKind::kConnected);
  EXPECT_EQ(batch_.input(connected).channel, channel);
  EXPECT_EQ(batch_.input(connected).value, 0);
}

}  // namespace
}  // namespace evenkeel::host
