#include "runtime/host/connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <string>

#include "runtime/host/batch.h"
#include "runtime/host/deck.h"
#include "runtime/host/fd.h"

namespace evenkeel::host {
namespace {

class ConnectionsTest : public ::testing::Test {
 protected:
  // A connection whose client end is `client_`.
  uint32_t connect() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    client_.reset(ends[1]);
    return connections_.open(ends[0]);
  }
  void send(uint32_t slot, std::string text) {
    iovec piece{text.data(), text.size()};
    connections_.send(slot, &piece, 1);
  }
  std::string receive_all() {
    std::string text;
    char bytes[65536];
    for (ssize_t n = 0; (n = ::recv(client_.get(), bytes, sizeof bytes, 0)) > 0;) {
      text.append(bytes, static_cast<size_t>(n));
    }
    return text;
  }
  // Sends until the socket takes no more; returns everything that was sent.
  std::string fill(uint32_t slot) {
    std::string all;
    for (char c = 'a'; connections_.at(slot).backlog_bytes() == 0; ++c) {
      const std::string text(50'000, c);
      send(slot, text);
      all += text;
    }
    return all;
  }

  Deck deck_;
  Batch batch_{*deck_};
  Connections connections_;
  Fd client_;
};

TEST_F(ConnectionsTest, ChannelsCarryTheirSlotAndAreNeverReused) {
  const uint32_t first = connect();
  const wire::Channel old = connections_.at(first).channel;
  EXPECT_EQ(connections_.slot_of(old), first);
  connections_.server_closed(first);
  EXPECT_EQ(connections_.slot_of(old), UINT32_MAX);
  const uint32_t second = connect();
  EXPECT_EQ(second, first);
  EXPECT_NE(connections_.at(second).channel, old);
  EXPECT_EQ(connections_.slot_of(old), UINT32_MAX);
}

TEST_F(ConnectionsTest, OutboundChannelsAreFoundToo) {
  const wire::Channel channel = wire::kVirtualSocketBase + 3;
  const uint32_t slot = connections_.open_outbound(::socket(AF_INET, SOCK_STREAM, 0), channel);
  EXPECT_EQ(connections_.slot_of(channel), slot);
  connections_.server_closed(slot);
  EXPECT_EQ(connections_.slot_of(channel), UINT32_MAX);
}

TEST_F(ConnectionsTest, SeveralPiecesGoOutInOrder) {
  const uint32_t slot = connect();
  std::string a = "first ";
  std::string b = "second";
  iovec pieces[] = {{a.data(), a.size()}, {b.data(), b.size()}};
  connections_.send(slot, pieces, 2);
  EXPECT_EQ(receive_all(), "first second");
  EXPECT_FALSE(connections_.has_notes());
}

TEST_F(ConnectionsTest, WhatDoesNotFitIsKeptInOrder) {
  const uint32_t slot = connect();
  std::string sent = fill(slot);
  send(slot, "the end");
  sent += "the end";
  std::string received = receive_all();
  while (connections_.at(slot).backlog_bytes() != 0) {
    connections_.drain(slot);
    received += receive_all();
  }
  EXPECT_EQ(received, sent);
}

TEST_F(ConnectionsTest, TheBacklogIsToldWhenItGrowsAndWhenItIsGone) {
  const uint32_t slot = connect();
  fill(slot);
  const uint64_t first = connections_.at(slot).backlog_bytes();
  connections_.deliver_notes(batch_);
  ASSERT_EQ(batch_.count(), 1U);
  EXPECT_EQ(batch_.input(0).kind, wire::InputKind::kBacklog);
  EXPECT_EQ(batch_.input(0).value, static_cast<int64_t>(first));
  EXPECT_FALSE(batch_.urgent());  // growing closes a window: nobody waits for that
  send(slot, "more");
  connections_.deliver_notes(batch_);
  ASSERT_EQ(batch_.count(), 2U);
  EXPECT_EQ(batch_.input(1).value, static_cast<int64_t>(first + 4));
  while (connections_.at(slot).backlog_bytes() != 0) {
    receive_all();
    connections_.drain(slot);
  }
  connections_.deliver_notes(batch_);
  EXPECT_EQ(batch_.input(batch_.count() - 1).value, 0);
  EXPECT_TRUE(batch_.urgent());
}

TEST_F(ConnectionsTest, AClientThatDoesNotReadIsNotReadFrom) {
  const uint32_t slot = connect();
  fill(slot);
  while (connections_.at(slot).may_read()) send(slot, std::string(50'000, 'z'));
  EXPECT_GE(connections_.at(slot).backlog_bytes(), Connections::kPauseReadingBytes);
  while (connections_.at(slot).backlog_bytes() != 0) {
    receive_all();
    connections_.drain(slot);
  }
  EXPECT_TRUE(connections_.at(slot).may_read());
}

TEST_F(ConnectionsTest, CloseWaitsForTheBacklog) {
  const uint32_t slot = connect();
  const wire::Channel channel = connections_.at(slot).channel;
  const std::string sent = fill(slot);
  connections_.server_closed(slot);
  EXPECT_EQ(connections_.slot_of(channel), slot);
  std::string received = receive_all();
  while (connections_.slot_of(channel) != UINT32_MAX) {
    connections_.drain(slot);
    received += receive_all();
  }
  EXPECT_EQ(received, sent);
  char byte;
  EXPECT_EQ(::recv(client_.get(), &byte, 1, 0), 0);
}

TEST_F(ConnectionsTest, HalfCloseWaitsForTheBacklog) {
  const uint32_t slot = connect();
  const std::string sent = fill(slot);
  connections_.server_shut_down(slot);
  std::string received;
  char byte;
  for (;;) {
    received += receive_all();
    if (connections_.at(slot).backlog_bytes() == 0) break;
    connections_.drain(slot);
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(::recv(client_.get(), &byte, 1, 0), 0);
  EXPECT_EQ(::send(client_.get(), "x", 1, MSG_NOSIGNAL), 1);  // the other direction stays open
}

TEST_F(ConnectionsTest, ABrokenSocketBecomesAResetOnce) {
  const uint32_t slot = connect();
  const wire::Channel channel = connections_.at(slot).channel;
  client_.reset();
  send(slot, "into the void");
  send(slot, "again");
  connections_.deliver_notes(batch_);
  connections_.deliver_notes(batch_);
  ASSERT_EQ(batch_.count(), 1U);
  EXPECT_EQ(batch_.input(0).kind, wire::InputKind::kReset);
  EXPECT_EQ(batch_.input(0).channel, channel);
  EXPECT_EQ(batch_.input(0).value, ECONNRESET);
  EXPECT_EQ(connections_.slot_of(channel), slot);  // until the server closes its side
  connections_.server_closed(slot);
  EXPECT_EQ(connections_.slot_of(channel), UINT32_MAX);
  EXPECT_EQ(connections_.count(), 0U);
}

TEST_F(ConnectionsTest, NewsOfAFormerUserOfASlotIsNotNewsOfTheNext) {
  const uint32_t slot = connect();
  fill(slot);
  connections_.server_aborted(slot);
  EXPECT_EQ(connect(), slot);
  connections_.deliver_notes(batch_);
  EXPECT_EQ(batch_.count(), 0U);
}

}  // namespace
}  // namespace evenkeel::host
