#include "runtime/host/release.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace evenkeel::host {
namespace {

// An output area under construction.
class Area {
 public:
  Area& add(wire::OutputKind kind, wire::Channel channel, const std::string& payload = {}) {
    const wire::OutputRecord record{kind, static_cast<uint32_t>(payload.size()), channel};
    const auto* head = reinterpret_cast<const uint8_t*>(&record);
    bytes_.insert(bytes_.end(), head, head + sizeof record);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    bytes_.resize((bytes_.size() + 7) & ~size_t{7});
    return *this;
  }
  [[nodiscard]] std::vector<uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

class ReleaseTest : public ::testing::Test {
 protected:
  struct Client {
    Fd end;
    uint32_t slot;
    wire::Channel channel;
  };
  Client connect() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    const uint32_t slot = connections_.open(ends[0]);
    return {Fd(ends[1]), slot, connections_.at(slot).channel};
  }
  // One packet: what one system call sent. Empty: nothing there, or the end.
  static std::string packet(const Client& client) {
    char bytes[65536];
    const ssize_t n = ::recv(client.end.get(), bytes, sizeof bytes, 0);
    return {bytes, n > 0 ? static_cast<size_t>(n) : 0};
  }
  bool release(Area& area) { return release_.release(area.bytes().data(), area.bytes().size()); }

  Connections connections_;
  Network network_{connections_};
  Release release_{connections_, network_};
};

TEST_F(ReleaseTest, MergesAConnectionsRecordsIntoOneSend) {
  const Client a = connect();
  const Client b = connect();
  Area area;
  area.add(wire::OutputKind::kData, a.channel, "one ")
      .add(wire::OutputKind::kData, b.channel, "else")
      .add(wire::OutputKind::kData, a.channel, "two ")
      .add(wire::OutputKind::kData, a.channel, "three");
  ASSERT_TRUE(release(area));
  EXPECT_EQ(packet(a), "one two three");
  EXPECT_EQ(packet(a), "");
  EXPECT_EQ(packet(b), "else");
}

TEST_F(ReleaseTest, BeginsAnewWithEveryCommand) {
  const Client a = connect();
  for (const char* text : {"first", "second"}) {
    Area area;
    area.add(wire::OutputKind::kData, a.channel, text);
    ASSERT_TRUE(release(area));
    EXPECT_EQ(packet(a), text);
  }
}

TEST_F(ReleaseTest, ClosesAfterTheDataBeforeIt) {
  const Client a = connect();
  Area area;
  area.add(wire::OutputKind::kData, a.channel, "bye").add(wire::OutputKind::kClose, a.channel);
  ASSERT_TRUE(release(area));
  EXPECT_EQ(packet(a), "bye");
  char byte;
  EXPECT_EQ(::recv(a.end.get(), &byte, 1, 0), 0);
  EXPECT_EQ(connections_.count(), 0U);
}

TEST_F(ReleaseTest, ManyPiecesTakeSeveralCallsInOrder) {
  const Client a = connect();
  Area area;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    area.add(wire::OutputKind::kData, a.channel, std::to_string(i));
    expected += std::to_string(i);
  }
  ASSERT_TRUE(release(area));
  std::string received;
  for (std::string text; !(text = packet(a)).empty();) received += text;
  EXPECT_EQ(received, expected);
}

TEST_F(ReleaseTest, IgnoresChannelsThatAreGone) {
  const Client a = connect();
  connections_.server_closed(a.slot);
  Area area;
  area.add(wire::OutputKind::kData, a.channel, "late").add(wire::OutputKind::kClose, a.channel);
  EXPECT_TRUE(release(area));
}

TEST_F(ReleaseTest, PausesAndResumesReading) {
  const Client a = connect();
  Area pause;
  pause.add(wire::OutputKind::kPauseInput, a.channel);
  ASSERT_TRUE(release(pause));
  EXPECT_FALSE(connections_.at(a.slot).may_read());
  Area resume;
  resume.add(wire::OutputKind::kResumeInput, a.channel);
  ASSERT_TRUE(release(resume));
  EXPECT_TRUE(connections_.at(a.slot).may_read());
}

TEST_F(ReleaseTest, SetsOptionsOnTheRealSocket) {
  const Client a = connect();
  const int32_t words[] = {SOL_SOCKET, SO_PASSCRED, 1};
  Area area;
  area.add(wire::OutputKind::kOption, a.channel,
           std::string(reinterpret_cast<const char*>(words), sizeof words));
  ASSERT_TRUE(release(area));
  int value = 0;
  socklen_t bytes = sizeof value;
  ASSERT_EQ(::getsockopt(connections_.at(a.slot).fd, SOL_SOCKET, SO_PASSCRED, &value, &bytes), 0);
  EXPECT_EQ(value, 1);
}

TEST_F(ReleaseTest, SendsNothingOfAnAreaThatWasOverwritten) {
  const Client a = connect();
  Area good;
  good.add(wire::OutputKind::kData, a.channel, "text");
  std::vector<uint8_t> unknown = good.bytes();
  Area bad;
  bad.add(static_cast<wire::OutputKind>(77), a.channel);
  unknown.insert(unknown.end(), bad.bytes().begin(), bad.bytes().end());
  EXPECT_FALSE(release_.release(unknown.data(), unknown.size()));

  std::vector<uint8_t> too_long = good.bytes();
  const uint32_t huge = 0xfffffff0;
  std::memcpy(too_long.data() + offsetof(wire::OutputRecord, bytes), &huge, sizeof huge);
  EXPECT_FALSE(release_.release(too_long.data(), too_long.size()));

  EXPECT_FALSE(release_.release(good.bytes().data(), good.bytes().size() - 4));
  EXPECT_FALSE(release_.release(good.bytes().data(), wire::kOutputBytes + 1));
  EXPECT_EQ(packet(a), "");
}

}  // namespace
}  // namespace evenkeel::host
