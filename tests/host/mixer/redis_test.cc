// RESP arrays and inline commands.
#include "runtime/host/mixer/dialects.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

const std::unique_ptr<host::Dialect> kRedis = host::redis_dialect();

std::string command(const Lines& arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& a : arguments) {
    text += "$" + std::to_string(a.size()) + "\r\n" + a + "\r\n";
  }
  return text;
}

TEST(RedisDialect, KeysStandWhereTheCommandHasThem) {
  EXPECT_EQ(lines_of(*kRedis, command({"GET", "a"}) + command({"set", "a", "GET", "EX", "10"}) +
                                  command({"MSET", "a", "1", "b", "2"}) +
                                  command({"DEL", "a", "b", "c"}) + command({"PING"})),
            (Lines{"GET R:key/a", "SET W:key/a", "MSET W:key/a W:key/b",
                   "DEL W:key/a W:key/b W:key/c", "PING"}));
}

TEST(RedisDialect, TheRestIsUnknown) {
  EXPECT_EQ(lines_of(*kRedis, command({"EVAL", "return 1", "0"}) + command({"EXEC"}) +
                                  command({std::string(100, 'x'), "a"})),
            (Lines{"(command) ?", "(command) ?", "(command) ?"}));
}

TEST(RedisDialect, InlineCommands) {
  EXPECT_EQ(lines_of(*kRedis, "get a\r\n\r\nMGET a b\nset \"a b\" 1\r\n"),
            (Lines{"GET R:key/a", "MGET R:key/a R:key/b", "SET ?"}));
}

TEST(RedisDialect, AHugeKeyConflictsWithEverything) {
  EXPECT_EQ(lines_of(*kRedis, command({"GET", std::string(100000, 'k')}) + command({"GET", "a"})),
            (Lines{"GET !", "GET R:key/a"}));
}

TEST(RedisDialect, AValueOf32MiBIsNotStored) {
  Reading reading(*kRedis);
  reading.feed("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$33554432\r\n");
  const std::string piece(256 << 10, 'x');
  for (int i = 0; i < 128; ++i) reading.feed(piece);
  reading.feed("\r\n" + command({"GET", "b"}));
  EXPECT_EQ(reading.lines(), (Lines{"SET W:key/a", "GET R:key/b"}));
}

TEST(RedisDialect, BadLengthsLoseTheConnection) {
  for (const char* bytes : {"*x\r\n", "*99999999\r\n", "*1\r\n+OK\r\n", "*1\r\n$-1\r\n"}) {
    EXPECT_EQ(lines_of(*kRedis, bytes).back(), "(not understood) ?") << bytes;
  }
}

TEST(RedisDialect, IsTheSameHoweverCut) {
  expect_same_however_cut(*kRedis, command({"MSET", "a", "a\r\n*1\r\n", "b", ""}) +
                                       "*0\r\n*-1\r\nget x\r\n" + command({"FROB", "a"}) +
                                       command({"DEL", "k1", "k2"}) +
                                       command({"SET", "long", std::string(200, '$')}) +
                                       "*2\r\n$4\r\nMGET\r\n$3\r\nab");
}

TEST(RedisDialect, Garbage) {
  survive_garbage(*kRedis, {command({"SET", "a", "b"}), command({"MGET", "a", "b"}), "get a\r\n",
                            "*3\r\n$3\r\n"});
}

}  // namespace
}  // namespace evenkeel::test
