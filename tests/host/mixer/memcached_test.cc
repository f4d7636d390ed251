// The memcached protocols: keys, values, pipelines, and cuts at every place.
#include "runtime/host/mixer/dialects.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

const std::unique_ptr<host::Dialect> kMemcached = host::memcached_dialect();

std::string binary(uint8_t opcode, const std::string& extras, const std::string& key,
                   const std::string& value) {
  std::string head(24, '\0');
  const size_t body = extras.size() + key.size() + value.size();
  head[0] = '\x80';
  head[1] = static_cast<char>(opcode);
  head[2] = static_cast<char>(key.size() >> 8);
  head[3] = static_cast<char>(key.size());
  head[4] = static_cast<char>(extras.size());
  head[10] = static_cast<char>(body >> 8);
  head[11] = static_cast<char>(body);
  return head + extras + key + value;
}

TEST(MemcachedDialect, TextCommands) {
  EXPECT_EQ(lines_of(*kMemcached,
                     "get a b\r\nset a 0 0 5\r\nhello\r\nincr n 1\r\ngat 10 x y\r\nversion\r\n"),
            (Lines{"get R:item/a R:item/b", "set W:item/a", "incr W:item/n",
                   "gat W:item/x W:item/y", "version"}));
  EXPECT_EQ(lines_of(*kMemcached, "delete a noreply\nflush_all\r\nstats\r\n"),
            (Lines{"delete W:item/a", "flush_all !", "stats !"}));
}

TEST(MemcachedDialect, ValuesAreNotLookedAt) {
  EXPECT_EQ(lines_of(*kMemcached, "set a 0 0 12\r\nflush_all\r\n \r\nget b\r\n"),
            (Lines{"set W:item/a", "get R:item/b"}));
}

TEST(MemcachedDialect, MetaCommands) {
  EXPECT_EQ(
      lines_of(*kMemcached,
               "mg a v\r\nmg a v T30\r\nms b 2 T0\r\nhi\r\nmd c q\r\nma d N0\r\nmn\r\n"),
      (Lines{"mg R:item/a", "mg W:item/a", "ms W:item/b", "md W:item/c", "ma W:item/d", "mn"}));
  EXPECT_EQ(lines_of(*kMemcached, "mg Zm9v b v\r\n"), (Lines{"mg ?"}));
}

TEST(MemcachedDialect, BinaryCommands) {
  const std::string extras(8, '\0');
  EXPECT_EQ(lines_of(*kMemcached, binary(0x00, "", "a", "") + binary(0x01, extras, "b", "value") +
                                      binary(0x0a, "", "", "") + binary(0x08, "", "", "")),
            (Lines{"get R:item/a", "set W:item/b", "noop", "flush !"}));
  EXPECT_EQ(lines_of(*kMemcached, binary(0x7f, "", "a", "")), (Lines{"(unknown opcode) ?"}));
}

TEST(MemcachedDialect, BothProtocolsNameTheSameItem) {
  Reading text(*kMemcached);
  Reading bits(*kMemcached);
  text.feed("get a\r\n");
  bits.feed(binary(0x00, "", "a", ""));
  EXPECT_EQ(text.ids(), bits.ids());
}

TEST(MemcachedDialect, WhatIsNoCommandIsUnknown) {
  EXPECT_EQ(lines_of(*kMemcached, "frob a\r\nget a\r\n\r\n"),
            (Lines{"(unknown command) ?", "get R:item/a", "(unknown command) ?"}));
  EXPECT_EQ(lines_of(*kMemcached, "set a 0 0 many\r\nget a\r\n"), (Lines{"set ?", "get R:item/a"}));
}

TEST(MemcachedDialect, IsTheSameHoweverCut) {
  const std::string extras(8, '\0');
  expect_same_however_cut(
      *kMemcached, "get a b c\r\nset key 0 0 7\r\nab\r\nget\r\nms m 4 T0\r\n\r\n\r\n\r\n" +
                       binary(0x01, extras, "bin", "get x\r\n") +
                       "nonsense\r\nincr n 5\r\nflush_all\r\nget the last\r\nset open 0 0 9\r\nx");
}

TEST(MemcachedDialect, APartOfAValueStillTouchesItsKey) {
  Reading reading(*kMemcached);
  reading.feed("set a 0 0 10\r\n01234");
  host::Stream stream = reading.stream();
  host::Requests requests;
  kMemcached->read(stream, "567", requests);
  ASSERT_EQ(requests.count(), 1U);
  EXPECT_TRUE(requests.at(0).continued);
  EXPECT_EQ(requests.keys().size(), 1U);
  requests.clear();
  kMemcached->read(stream, "89\r\nget b\r\n", requests);
  EXPECT_EQ(requests.count(), 2U);
  EXPECT_EQ(requests.keys().size(), 2U);
}

TEST(MemcachedDialect, ARequestOf32MiB) {
  Reading reading(*kMemcached);
  reading.feed("set big 0 0 33554432\r\n");
  const std::string piece(256 << 10, 'x');
  for (int i = 0; i < 128; ++i) reading.feed(piece);
  EXPECT_TRUE(reading.stream().inside());
  EXPECT_LE(reading.stream().head.capacity(), host::kMaxHeadBytes);
  reading.feed("\r\nget a\r\n");
  EXPECT_EQ(reading.lines(), (Lines{"set W:item/big", "get R:item/a"}));
}

TEST(MemcachedDialect, ALineWithoutEndLosesTheConnectionOnly) {
  Reading reading(*kMemcached);
  const std::string piece(10000, 'x');
  for (int i = 0; i < 20; ++i) reading.feed(piece);
  EXPECT_TRUE(reading.stream().lost);
  EXPECT_TRUE(reading.stream().head.empty());
  EXPECT_EQ(reading.lines().back(), "(not understood) ?");
}

TEST(MemcachedDialect, Garbage) {
  survive_garbage(*kMemcached,
                  {"get a b\r\n", "set a 0 0 3\r\nabc\r\n", binary(1, "12345678", "k", "v"),
                   "mg a v\r\n", std::string(100, '\x80')});
}

}  // namespace
}  // namespace evenkeel::test
