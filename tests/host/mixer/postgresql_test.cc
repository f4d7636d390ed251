// Messages of the PostgreSQL protocol.
#include "runtime/host/mixer/dialects.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

const std::unique_ptr<host::Dialect> kPostgres = host::postgres_dialect();

std::string length(size_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}
std::string start_up() {
  const std::string text("\0\3\0\0user\0me\0\0", 13);
  return length(text.size() + 4) + text;
}
std::string message(char type, const std::string& payload) {
  return type + length(payload.size() + 4) + payload;
}
std::string query(const std::string& sql) { return message('Q', sql + '\0'); }

TEST(PostgresDialect, Queries) {
  EXPECT_EQ(lines_of(*kPostgres, start_up() + message('p', "secret") +
                                     query("SELECT * FROM item; UPDATE stock SET n = 1") +
                                     message('P', "prepared") + message('X', "")),
            (Lines{"log-in", "log-in", "query R:table/item W:table/stock", "message ?", "quit"}));
}

TEST(PostgresDialect, ARequestForTlsMayComeFirst) {
  const std::string tls = length(8) + std::string("\x04\xd2\x16\x2f", 4);
  EXPECT_EQ(lines_of(*kPostgres, tls + start_up() + query("SELECT * FROM a")),
            (Lines{"log-in", "log-in", "query R:table/a"}));
}

TEST(PostgresDialect, BadLengthsLoseTheConnection) {
  EXPECT_EQ(lines_of(*kPostgres, length(3) + "abcd").back(), "(not understood) ?");
  EXPECT_EQ(lines_of(*kPostgres, start_up() + "Q" + length(3)).back(), "(not understood) ?");
}

TEST(PostgresDialect, IsTheSameHoweverCut) {
  expect_same_however_cut(*kPostgres, start_up() + message('p', "pw") + query("SELECT * FROM a") +
                                          message('B', std::string(40, 'Q')) +
                                          query("DELETE FROM b") + "Q" + length(30) + "SELECT");
}

TEST(PostgresDialect, Garbage) {
  survive_garbage(*kPostgres, {start_up(), query("SELECT 1"), start_up() + query("DELETE FROM b")});
}

}  // namespace
}  // namespace evenkeel::test
