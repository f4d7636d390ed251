// The same bytes to a native memcached and to one under Evenkeel: the same answers.
#include <gtest/gtest.h>

#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

std::string pattern(size_t bytes, unsigned seed) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) {
    out[i] = static_cast<char>('a' + (i * 7 + i / 251 + seed) % 26);
  }
  return out;
}

std::string set_command(const std::string& key, const std::string& value) {
  return "set " + key + " 5 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

class Pair {
 public:
  explicit Pair(const Words& extra = {})
      : native_(Server::native(memcached_command(extra))),
        evenkeel_(Server::evenkeel({}, memcached_command(extra))) {
    reconnect();
  }
  ~Pair() {
    const auto status = evenkeel_.status();
    EXPECT_EQ(status.at("leaks"), 0);
    EXPECT_EQ(status.at("divergences"), 0);
    EXPECT_EQ(status.at("replicas_live"), 2);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void reconnect() {
    native_client_ = std::make_unique<MemcacheClient>(native_.port());
    evenkeel_client_ = std::make_unique<MemcacheClient>(evenkeel_.port());
  }
  // Returns the answer that both gave.
  std::string text(const std::string& commands) {
    return compare(native_client_->text(commands), evenkeel_client_->text(commands), commands);
  }
  std::string binary(const std::string& requests) {
    return compare(native_client_->binary(requests), evenkeel_client_->binary(requests),
                   "binary requests");
  }
  // The last commands of a connection: the server closes it.
  std::string last(const std::string& commands) {
    native_client_->send(commands);
    evenkeel_client_->send(commands);
    const std::string answer = compare(native_client_->receive_until_closed(),
                                       evenkeel_client_->receive_until_closed(), commands);
    reconnect();
    return answer;
  }

 private:
  static std::string compare(const std::string& native, const std::string& evenkeel,
                             const std::string& commands) {
    constexpr size_t kShownBytes = 2000;
    EXPECT_TRUE(native == evenkeel)
        << "after: " << commands.substr(0, kShownBytes)
        << "\nnative: " << testing::PrintToString(native.substr(0, kShownBytes))
        << "\nevenkeel: " << testing::PrintToString(evenkeel.substr(0, kShownBytes));
    return native;
  }

  Server native_;
  Server evenkeel_;
  std::unique_ptr<MemcacheClient> native_client_;
  std::unique_ptr<MemcacheClient> evenkeel_client_;
};

TEST(MemcachedCommands, StoreAndRetrieve) {
  Pair pair;
  EXPECT_EQ(pair.text("set a 1 0 3\r\nabc\r\n"), "STORED\r\n");
  EXPECT_EQ(pair.text("get a\r\n"), "VALUE a 1 3\r\nabc\r\nEND\r\n");
  pair.text("add a 0 0 1\r\nx\r\n");
  pair.text("add b 0 0 1\r\nx\r\n");
  pair.text("replace b 7 0 2\r\nyy\r\n");
  pair.text("replace c 7 0 2\r\nyy\r\n");
  pair.text("get a b c\r\n");
  EXPECT_EQ(pair.text("set quiet 0 0 2 noreply\r\nqq\r\n"), "");
  EXPECT_EQ(pair.text("get quiet\r\n"), "VALUE quiet 0 2\r\nqq\r\nEND\r\n");
  pair.text("delete quiet\r\n");
  pair.text("delete quiet\r\n");
  pair.text("delete a noreply\r\n");
  pair.text("get a quiet\r\n");
  pair.text("set empty 0 0 0\r\n\r\n");
  pair.text("get empty\r\n");
}

TEST(MemcachedCommands, CompareAndSwap) {
  Pair pair;
  pair.text("set a 1 0 3\r\nabc\r\n");
  const std::string answer = pair.text("gets a\r\n");
  const std::string line = answer.substr(0, answer.find("\r\n"));
  const std::string unique = line.substr(line.rfind(' ') + 1);
  EXPECT_EQ(pair.text("cas a 2 0 3 " + unique + "\r\nnew\r\n"), "STORED\r\n");
  EXPECT_EQ(pair.text("cas a 2 0 3 " + unique + "\r\nold\r\n"), "EXISTS\r\n");
  EXPECT_EQ(pair.text("cas missing 2 0 3 1\r\nabc\r\n"), "NOT_FOUND\r\n");
  pair.text("cas a 2 0 3 notanumber\r\nabc\r\n");
  pair.text("gets a missing\r\n");
}

TEST(MemcachedCommands, AppendAndPrepend) {
  Pair pair;
  pair.text("append a 0 0 1\r\nx\r\n");
  pair.text("set a 9 0 3\r\nmid\r\n");
  pair.text("append a 0 0 4\r\n-end\r\n");
  pair.text("prepend a 0 0 6\r\nstart-\r\n");
  EXPECT_EQ(pair.text("get a\r\n"), "VALUE a 9 13\r\nstart-mid-end\r\nEND\r\n");
  for (int i = 0; i < 50; ++i) pair.text("append a 0 0 100\r\n" + pattern(100, 1) + "\r\n");
  pair.text("get a\r\n");
}

TEST(MemcachedCommands, Arithmetic) {
  Pair pair;
  pair.text("incr n 1\r\n");
  pair.text("set n 0 0 1\r\n9\r\n");
  EXPECT_EQ(pair.text("incr n 1\r\n"), "10\r\n");
  EXPECT_EQ(pair.text("decr n 3\r\n"), "7\r\n");
  EXPECT_EQ(pair.text("decr n 100\r\n"), "0\r\n");
  pair.text("get n\r\n");
  pair.text("set n 0 0 20\r\n18446744073709551615\r\n");
  pair.text("incr n 2\r\n");
  pair.text("incr n x\r\n");
  pair.text("set s 0 0 1\r\nz\r\n");
  pair.text("incr s 1\r\n");
  pair.text("incr n 5 noreply\r\n");
  pair.text("get n s\r\n");
}

TEST(MemcachedCommands, TouchAndGetAndTouch) {
  Pair pair;
  pair.text("touch a 100\r\n");
  pair.text("set a 3 0 3\r\nabc\r\n");
  EXPECT_EQ(pair.text("touch a 1000\r\n"), "TOUCHED\r\n");
  EXPECT_EQ(pair.text("gat 1000 a\r\n"), "VALUE a 3 3\r\nabc\r\nEND\r\n");
  pair.text("gats 0 a missing\r\n");
  EXPECT_EQ(pair.text("gat -1 a\r\n"), "VALUE a 3 3\r\nabc\r\nEND\r\n");
  EXPECT_EQ(pair.text("get a\r\n"), "END\r\n");
  pair.text("set b 0 -1 1\r\nx\r\n");
  EXPECT_EQ(pair.text("get b\r\n"), "END\r\n");
}

TEST(MemcachedCommands, FlushAll) {
  Pair pair;
  for (int i = 0; i < 20; ++i) pair.text(set_command("k" + std::to_string(i), pattern(50, 1)));
  EXPECT_EQ(pair.text("flush_all\r\n"), "OK\r\n");
  EXPECT_EQ(pair.text("get k0 k1 k19\r\n"), "END\r\n");
  pair.text("set k0 0 0 1\r\nx\r\n");
  EXPECT_EQ(pair.text("get k0\r\n"), "VALUE k0 0 1\r\nx\r\nEND\r\n");
  pair.text("flush_all 0 noreply\r\n");
  pair.text("get k0\r\n");
  pair.text("flush_all bad\r\n");
}

// Of the statistics, those that depend on the requests alone. (get_flushed does not: the LRU
// crawler may come first.)
std::string deterministic_lines(const std::string& stats) {
  static const Words kNames{
      "threads",    "curr_items",   "total_items", "cmd_get",        "cmd_set",     "cmd_flush",
      "cmd_touch",  "get_hits",     "get_misses",  "delete_misses",  "delete_hits", "incr_misses",
      "incr_hits",  "decr_misses",  "decr_hits",   "cas_misses",     "cas_hits",    "cas_badval",
      "touch_hits", "touch_misses", "bytes",       "limit_maxbytes", "evictions",   "version"};
  std::string kept;
  for (const std::string& name : kNames) {
    const size_t at = stats.find("STAT " + name + " ");
    if (at != std::string::npos) kept += stats.substr(at, stats.find('\n', at) + 1 - at);
  }
  return kept;
}

TEST(MemcachedCommands, Statistics) {
  const Server native = Server::native(memcached_command());
  const Server under = Server::evenkeel({}, memcached_command());
  const auto conversation = [](uint16_t port) {
    MemcacheClient client(port);
    client.text(set_command("a", pattern(500, 1)) + "get a b\r\nincr a 1\r\ndelete a\r\n");
    client.text("set n 0 0 1\r\n1\r\nincr n 4\r\ndecr n 1\r\ntouch n 0\r\nflush_all\r\nget n\r\n");
    return deterministic_lines(client.text("stats\r\n"));
  };
  const std::string expected = conversation(native.port());
  EXPECT_NE(expected.find("STAT cmd_get 3\r\n"), std::string::npos) << expected;
  EXPECT_EQ(conversation(under.port()), expected);
}

TEST(MemcachedCommands, StatisticsSubcommands) {
  Pair pair;
  pair.text(set_command("a", pattern(500, 1)));
  pair.text("stats reset\r\n");
  pair.text("stats slabs\r\n");
  pair.text("stats sizes\r\n");
  pair.text("stats detail on\r\n");
  pair.text("get a\r\n");
  pair.text("stats detail dump\r\n");
  pair.text("stats detail off\r\n");
  pair.text("stats nonsense\r\n");
}

TEST(MemcachedCommands, VersionVerbosityAndNonsense) {
  Pair pair;
  pair.text("version\r\n");
  EXPECT_EQ(pair.text("verbosity 1\r\n"), "OK\r\n");
  pair.text("verbosity 0 noreply\r\n");
  pair.text("verbosity\r\n");
  EXPECT_EQ(pair.text("nonsense\r\n"), "ERROR\r\n");
  pair.text("get\r\n");
  pair.text("get " + std::string(251, 'k') + "\r\n");
  pair.text("set a b c d\r\n");
  pair.text("\r\n");
  pair.last("get a\r\nquit\r\n");
  pair.last("set big 0 0 2000000\r\n" + pattern(2000000, 1) + "\r\nquit\r\n");
  pair.text("get big\r\n");
}

TEST(MemcachedCommands, MetaCommands) {
  Pair pair;
  EXPECT_EQ(pair.text("mg a v\r\n"), "EN\r\n");
  EXPECT_EQ(pair.text("ms a 3 T0 F5\r\nabc\r\n"), "HD\r\n");
  EXPECT_EQ(pair.text("mg a v f s k\r\n"), "VA 3 f5 s3 ka\r\nabc\r\n");
  pair.text("mg a c v t O123 q\r\n");
  pair.text("mg missing v q\r\n");
  pair.text("ms a 2 c I\r\nxx\r\n");
  pair.text("ms a 3 MA\r\n-zz\r\n");
  pair.text("ms a 3 MP\r\nyy-\r\n");
  pair.text("ms n 1\r\n5\r\n");
  EXPECT_EQ(pair.text("ma n v\r\n"), "VA 1\r\n6\r\n");
  pair.text("ma n MD D2 v c\r\n");
  pair.text("ma missing N0 J13 v\r\n");
  pair.text("ma missing v\r\n");
  pair.text("md a q\r\n");
  pair.text("md a\r\n");
  pair.text("mg a v\r\n");
  pair.text("mg\r\n");
  pair.text("mg YQ== b v k\r\n");
}

TEST(MemcachedCommands, Pipelining) {
  Pair pair;
  std::string commands;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "k" + std::to_string(i % 37);
    commands += set_command(key, pattern(static_cast<size_t>(i % 300), 3)) + "get " + key + "\r\n";
    if (i % 5 == 0) commands += "delete k" + std::to_string(i % 11) + "\r\n";
    if (i % 7 == 0) commands += "append " + key + " 0 0 3\r\nxyz\r\n";
  }
  pair.text(commands);
}

TEST(MemcachedCommands, BinaryProtocol) {
  Pair pair;
  const std::string extras = big_endian(0xdeadbeef, 4) + big_endian(0, 4);
  const std::string one = big_endian(1, 8);
  const std::string counter = one + big_endian(10, 8) + big_endian(0, 4);
  const BinaryRequest get{.opcode = 0x00, .key = "a", .opaque = 1};
  pair.binary(get.bytes());
  pair.binary(
      BinaryRequest{.opcode = 0x01, .key = "a", .extras = extras, .value = "abc", .opaque = 2}
          .bytes());
  EXPECT_NE(pair.binary(get.bytes()).find("abc"), std::string::npos);
  pair.binary(BinaryRequest{.opcode = 0x0c, .key = "a", .opaque = 3}.bytes());  // with key
  pair.binary(BinaryRequest{.opcode = 0x01, .key = "a", .extras = extras, .value = "x", .cas = 999}
                  .bytes());
  pair.binary(BinaryRequest{.opcode = 0x05, .key = "n", .extras = counter}.bytes());
  pair.binary(BinaryRequest{.opcode = 0x05, .key = "n", .extras = counter}.bytes());
  pair.binary(BinaryRequest{.opcode = 0x06, .key = "n", .extras = counter}.bytes());
  pair.binary(BinaryRequest{.opcode = 0x0e, .key = "a", .value = "-end"}.bytes());
  pair.binary(BinaryRequest{.opcode = 0x0b}.bytes());                           // version
  pair.binary(BinaryRequest{.opcode = 0x0a, .opaque = 7}.bytes());              // no-op
  pair.binary(BinaryRequest{.opcode = 0x09, .key = "missing"}.bytes());         // quiet get
  pair.binary(BinaryRequest{.opcode = 0x04, .key = "a", .opaque = 8}.bytes());  // delete
  pair.binary(get.bytes());
  pair.binary(BinaryRequest{.opcode = 0x7f}.bytes());  // no such opcode
}

TEST(MemcachedCommands, ValuesUpToOneMebibyte) {
  Pair pair;
  for (const size_t bytes : {size_t{1000}, size_t{16384}, size_t{65536}, size_t{262145},
                             size_t{700000}, size_t{1048000}, size_t{1048576}}) {
    pair.text(set_command("v", pattern(bytes, 5)));
    const std::string answer = pair.text("get v\r\n");
    if (bytes <= 1048000) {
      EXPECT_EQ(answer,
                "VALUE v 5 " + std::to_string(bytes) + "\r\n" + pattern(bytes, 5) + "\r\nEND\r\n");
    }
  }
}

TEST(MemcachedCommands, ValuesUpToThirtyTwoMebibytes) {
  Pair pair({"-I", "32m", "-m", "512"});
  for (const size_t bytes : {size_t{2} << 20, (size_t{9} << 20) + 1, (size_t{32} << 20) - 1000}) {
    EXPECT_EQ(pair.text(set_command("v", pattern(bytes, 7))), "STORED\r\n");
    const std::string answer = pair.text("get v\r\n");
    EXPECT_TRUE(answer ==
                "VALUE v 5 " + std::to_string(bytes) + "\r\n" + pattern(bytes, 7) + "\r\nEND\r\n");
  }
}

}  // namespace
}  // namespace evenkeel::test
