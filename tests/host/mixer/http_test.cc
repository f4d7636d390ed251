// HTTP/1.1: heads, bodies by length and in chunks, and what cannot be followed.
#include "runtime/host/mixer/dialects.h"
#include "tests/host/mixer/dialect_text.h"

namespace evenkeel::test {
namespace {

const std::unique_ptr<host::Dialect> kHttp = host::http_dialect();

TEST(HttpDialect, MethodsAndPaths) {
  EXPECT_EQ(lines_of(*kHttp,
                     "GET /cart/7?full=1 HTTP/1.1\r\nHost: a\r\n\r\n"
                     "POST /cart/7 HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /"
                     "DELETE /x HTTP/1.0\n\nOPTIONS * HTTP/1.1\r\n\r\n"),
            (Lines{"GET R:path//cart/7", "POST W:path//cart/7", "DELETE W:path//x", "OPTIONS"}));
}

TEST(HttpDialect, Chunks) {
  EXPECT_EQ(lines_of(*kHttp,
                     "PUT /a HTTP/1.1\r\ntransfer-encoding: Chunked\r\nContent-Length: 3\r\n\r\n"
                     "1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: 1\r\n\r\n"
                     "GET /b HTTP/1.1\r\n\r\n"),
            (Lines{"PUT W:path//a", "GET R:path//b"}));
}

TEST(HttpDialect, AnUnknownMethodIsUnknownButFollowed) {
  EXPECT_EQ(lines_of(*kHttp, "FROB /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
            (Lines{"(unknown method) ?", "GET R:path//b"}));
}

TEST(HttpDialect, ContradictionsAndUpgradesLoseTheConnection) {
  for (const char* bytes :
       {"GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET /a HTTP/1.1\r\nnonsense\r\n\r\n",
        "GET /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "GET /a HTTP/2.0\r\n\r\n",
        "GET /a HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "get /a HTTP/1.1\r\n\r\n", "\x16\x03\x01\n"}) {
    Reading reading(*kHttp);
    reading.feed(bytes);
    reading.feed("GET /b HTTP/1.1\r\n\r\n");
    EXPECT_EQ(reading.lines(), (Lines{"(not understood) ?", "(not understood) ?"})) << bytes;
  }
}

TEST(HttpDialect, IsTheSameHoweverCut) {
  expect_same_however_cut(*kHttp,
                          "\r\nGET /a?q HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\n"
                          "Content-Length: 11\r\n\r\nhello world"
                          "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
                          "GET /d HTTP/1.1\r\n\r\nPOST /e HTTP/1.1\r\nContent-Length: 9\r\n\r\nx");
}

TEST(HttpDialect, Garbage) {
  survive_garbage(
      *kHttp,
      {"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
       "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"});
}

}  // namespace
}  // namespace evenkeel::test
