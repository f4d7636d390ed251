// Rules files: footprints, framings, and where a bad one is wrong.
#include "runtime/host/mixer/rules.h"

#include "runtime/host/refusal.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

constexpr char kLines[] = R"rules(
request { kind: "get" match: "^gets? (?P<keys>.+)$" read { table: "item" row: "keys" separator: " " } }
request { kind: "set" match: "^set (?P<key>\\S+) \\d+ \\d+ (?P<bytes>\\d+)"
          write { table: "item" row: "key" } body: "bytes" body_extra: 2 }
request { kind: "count" match: "^count" add { table: "hits" } }
request { kind: "dump" match: "^dump" read { table: "item" } read { table: "hits" } }
request { kind: "stop" match: "^stop" everything: true }
request { match: "^ping$" }
)rules";

std::unique_ptr<host::Dialect> rules(const std::string& text) {
  return host::rules_dialect(text, "test.rules");
}

std::string refusal_of(const std::string& text) {
  try {
    static_cast<void>(rules(text));
  } catch (const host::Refusal& refusal) {
    return refusal.what();
  }
  return "accepted";
}

TEST(Rules, Footprints) {
  EXPECT_EQ(
      lines_of(*rules(kLines), "get a b\r\nset c 0 0 4\r\nstop\r\ncount\ndump\nstop\nping\nhelp\n"),
      (Lines{"get P:item/ R:item/a R:item/b", "set A:item/ W:item/c", "count A:hits/",
             "dump R:item/ R:hits/", "stop !", "^ping$", "(no rule matches) ?"}));
}

TEST(Rules, TheFirstThatMatchesCounts) {
  EXPECT_EQ(
      lines_of(*rules("request { kind: 'one' match: 'a' } request { kind: 'two' match: '.' }"),
               "xay\nb\n"),
      (Lines{"one", "two"}));
}

TEST(Rules, Unknown) {
  EXPECT_EQ(lines_of(*rules("unknown: CONFLICTS_WITH_EVERYTHING"), "x\n"),
            (Lines{"(no rule matches) !"}));
  EXPECT_EQ(lines_of(*rules("unknown: CONFLICTS_WITH_NOTHING"), "x\n"),
            (Lines{"(no rule matches)"}));
  EXPECT_EQ(lines_of(*rules(""), "x\n"), (Lines{"(no rule matches) ?"}));
}

TEST(Rules, LengthPrefix) {
  const auto dialect = rules(R"rules(
      framing { length_prefix { header_bytes: 3 number_offset: 1 number_bytes: 2 add: -3 look: 8 } }
      request { kind: "put" match: "^put (?P<key>\\w+)" write { table: "t" row: "key" } })rules");
  const std::string bytes = std::string("#\0\x08", 3) + "put a" + std::string("#\0\x10", 3) +
                            "put b  put cc" + std::string("#\0\x03", 3);
  EXPECT_EQ(lines_of(*dialect, bytes),
            (Lines{"put A:t/ W:t/a", "put A:t/ W:t/b", "(no rule matches) ?"}));
  expect_same_however_cut(*dialect, bytes);
  EXPECT_EQ(lines_of(*dialect, std::string("#\0\x02x", 4)), (Lines{"(not understood) ?"}));
}

TEST(Rules, LittleEndianLengths) {
  const auto dialect =
      rules(R"rules(framing { length_prefix { number_bytes: 2 little_endian: true } }
                                request { kind: "a" match: "a" })rules");
  EXPECT_EQ(lines_of(*dialect, std::string("\2\0zzab", 6)), (Lines{"a"}));
}

TEST(Rules, Http) {
  const auto dialect = rules(R"rules(framing { http {} }
      request { kind: "cart" match: "^(?:POST|PUT) /cart/(?P<id>\\d+)"
                write { table: "cart" row: "id" } })rules");
  EXPECT_EQ(lines_of(*dialect,
                     "POST /cart/7?x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
                     "GET /cart/7 HTTP/1.1\r\n\r\n"),
            (Lines{"cart A:cart/ W:cart/7", "(no rule matches) ?"}));
}

TEST(Rules, IsTheSameHoweverCut) {
  expect_same_however_cut(
      *rules(kLines),
      "get a b c\r\nset k 0 0 9\r\nget x\r\nyy\r\ncount\nhelp\r\nset o 0 0 5\r\n12");
}

TEST(Rules, Garbage) {
  survive_garbage(*rules(kLines),
                  {"get a b\r\n", "set a 0 0 3\r\nabc\r\n", std::string(100, '\xff')});
  survive_garbage(*rules("framing { length_prefix { number_bytes: 4 } }"),
                  {std::string("\0\0\0\3abc", 7), std::string(50, '\xff')});
}

TEST(Rules, ErrorsHaveLineAndColumn) {
  EXPECT_EQ(refusal_of("request {\n  mtach: \"x\" }").substr(0, 15), "test.rules:2:8:");
  EXPECT_EQ(refusal_of("request {\n  match: \"(\" }"), "test.rules:2:3: missing ): (");
  EXPECT_EQ(refusal_of("\n\n  request { kind: 'a' }"), "test.rules:3:3: a request without `match`");
  EXPECT_EQ(refusal_of("request { match: 'a'\n read { table: 't' row: 'x' } }"),
            "test.rules:2:20: the pattern has no group (?P<x>...)");
  EXPECT_EQ(refusal_of("request { match: 'a'\n  write { } }"),
            "test.rules:2:3: a key without a table");
  EXPECT_EQ(refusal_of("request { match: 'a' write { table: 't' separator: ',' } }").substr(0, 16),
            "test.rules:1:41:");
  EXPECT_EQ(refusal_of("framing { length_prefix { number_bytes: 9 } }"),
            "test.rules:1:27: a number has 1 to 8 bytes");
  EXPECT_EQ(refusal_of("framing { length_prefix { number_offset: 3 } }"),
            "test.rules:1:27: the number does not lie in the header");
  EXPECT_EQ(refusal_of("framing { http {} } request { match: '(?P<n>a)' body: 'n' }"),
            "test.rules:1:49: only lines can have a body that they announce");
  EXPECT_NE(refusal_of(std::string(1000, '\xfe')), "accepted");
  EXPECT_NE(refusal_of("framing { line {} http {} }"), "accepted");
}

TEST(Rules, AMissingFileIsRefused) {
  EXPECT_THROW(static_cast<void>(host::read_rules("/nonexistent/rules")), host::Refusal);
}

}  // namespace
}  // namespace evenkeel::test
