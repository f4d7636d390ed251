// Tables of statements.
#include "runtime/host/mixer/sql.h"

#include <gtest/gtest.h>

#include <string>

namespace evenkeel::host {
namespace {

std::string tables_of(std::string_view sql) {
  Requests requests;
  requests.keep_texts();
  requests.begin("query");
  add_tables(sql, Space::named("t"), requests);
  std::string text;
  for (size_t i = 0; i < requests.keys().size(); ++i) {
    const bool writes = requests.keys()[i].access == mixer::Access::kWrite;
    text += (text.empty() ? "" : " ") + std::string(writes ? "W:" : "R:") +
            requests.text_of(i).substr(2);
  }
  return requests.reach() == Reach::kKeys ? text : text + "?";
}

TEST(Sql, Reads) {
  EXPECT_EQ(tables_of("SELECT a FROM item WHERE x = 1"), "R:item");
  EXPECT_EQ(tables_of("select * from a x, b as y, c left join d on x.i = d.i"), "R:a R:b R:c R:d");
  EXPECT_EQ(tables_of("SELECT 1"), "");
  EXPECT_EQ(tables_of("SELECT * FROM (SELECT * FROM inner_table) q JOIN o USING (i)"),
            "R:inner_table R:o");
  EXPECT_EQ(tables_of("(SELECT * FROM a) UNION (SELECT * FROM b)"), "R:a R:b");
}

TEST(Sql, Writes) {
  EXPECT_EQ(tables_of("INSERT INTO orders (a, b) VALUES (1, 2), (3, 4)"), "W:orders");
  EXPECT_EQ(tables_of("INSERT IGNORE t VALUES (1)"), "W:t");
  EXPECT_EQ(tables_of("insert into t select * from u"), "W:t R:u");
  EXPECT_EQ(tables_of("UPDATE stock SET n = n - 1 WHERE i = 5"), "W:stock");
  EXPECT_EQ(tables_of("DELETE FROM cart WHERE i = 5"), "W:cart");
  EXPECT_EQ(tables_of("DELETE a FROM a JOIN b ON a.i = b.i"), "W:a W:b");
  EXPECT_EQ(tables_of("SELECT * FROM t WHERE i = 1 FOR UPDATE"), "W:t");
  EXPECT_EQ(tables_of("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x"), "W:t W:x");
}

TEST(Sql, NamesAreTheSameHoweverWritten) {
  for (const char* sql : {"SELECT * FROM Item", "SELECT * FROM `item`", "SELECT * FROM \"Item\"",
                          "SELECT * FROM shop.item", "SELECT * FROM `shop`.`item` i"}) {
    EXPECT_EQ(tables_of(sql), "R:item") << sql;
  }
}

TEST(Sql, StringsAndCommentsSayNothing) {
  EXPECT_EQ(tables_of("SELECT ' FROM x ', 'it''s FROM y', 'a\\' FROM z' FROM t"), "R:t");
  EXPECT_EQ(tables_of("SELECT 1 /* FROM x */ -- FROM y\n # FROM z\n FROM t"), "R:t");
}

TEST(Sql, SeveralStatements) {
  EXPECT_EQ(tables_of("BEGIN; SELECT * FROM a; UPDATE b SET x = 1; COMMIT;"), "R:a W:b");
  EXPECT_EQ(tables_of("INSERT INTO b VALUES (1); SELECT * FROM a"), "W:b R:a");
}

TEST(Sql, WhatIsNotUsualIsUnknown) {
  EXPECT_EQ(tables_of("CREATE TABLE t (a int)"), "?");
  EXPECT_EQ(tables_of("CALL p()"), "?");
  EXPECT_EQ(tables_of("SELECT * FROM a; TRUNCATE b"), "R:a?");
  EXPECT_EQ(tables_of("\"unclosed"), "?");
}

TEST(Sql, AnyTextEnds) {
  for (const char* sql : {"", ";", ";;", "SELECT * FROM", "FROM ,", "INSERT INTO", "UPDATE a.",
                          "SELECT 'x", "/* x", "SELECT * FROM a,", "--"}) {
    tables_of(sql);
  }
}

}  // namespace
}  // namespace evenkeel::host
