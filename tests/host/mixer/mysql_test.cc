// Packets of the MySQL protocol.
#include "runtime/host/mixer/dialects.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

const std::unique_ptr<host::Dialect> kMysql = host::mysql_dialect();

std::string packet(uint8_t number, const std::string& payload) {
  const size_t n = payload.size();
  return std::string{static_cast<char>(n), static_cast<char>(n >> 8), static_cast<char>(n >> 16),
                     static_cast<char>(number)} +
         payload;
}
std::string query(const std::string& sql) { return packet(0, '\x03' + sql); }

TEST(MysqlDialect, Queries) {
  EXPECT_EQ(
      lines_of(*kMysql, packet(1, "log in") + query("SELECT * FROM item") +
                            query("UPDATE stock SET n = 1") + packet(0, "\x0e") +
                            packet(0, "\x16SELECT ?") + packet(0, "\x01")),
      (Lines{"log-in", "query R:table/item", "query W:table/stock", "ping", "command ?", "quit"}));
}

TEST(MysqlDialect, AHugeStatementIsUnknownButFollowed) {
  EXPECT_EQ(
      lines_of(*kMysql, query("SELECT " + std::string(40000, 'x')) + query("SELECT 1 FROM t")),
      (Lines{"command ?", "query R:table/t"}));
}

TEST(MysqlDialect, IsTheSameHoweverCut) {
  expect_same_however_cut(*kMysql, packet(1, "user") + query("SELECT * FROM a") +
                                       packet(0, std::string(50, '\x17')) + packet(2, "") +
                                       query("INSERT INTO b VALUES (1)") + "\x20");
}

TEST(MysqlDialect, Garbage) {
  survive_garbage(*kMysql, {query("SELECT * FROM a"), packet(0, "\x0e"), std::string(64, '\xff')});
}

}  // namespace
}  // namespace evenkeel::test
