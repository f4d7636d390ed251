// The PostgreSQL protocol, version 3: a start-up packet without a type, then messages of a type and
// a length, big endian, that counts itself. (A client that asks for TLS and gets it is not
// understood from there on.)
#include <algorithm>
#include <cstring>

#include "runtime/host/mixer/dialects.h"
#include "runtime/host/mixer/sql.h"

namespace evenkeel::host {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr size_t kMaxSqlBytes = 32 << 10;  // longer statements: unknown

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// number: 0 until the start-up packet has been seen.
class Postgres : public Dialect {
 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    return stream.number == 0 ? start(stream, bytes, out) : message(stream, bytes, out);
  }

  // TLS and GSSAPI requests and cancellations come in the same form; a start-up may follow.
  static size_t start(Stream& stream, std::string_view bytes, Requests& out) {
    constexpr uint32_t kVersion3 = 3 << 16;
    constexpr uint32_t kLongest = 10000;  // as the server has it
    if (bytes.size() < 2 * kLengthBytes) return kIncomplete;
    const uint32_t length = big_endian(bytes);
    if (length < 2 * kLengthBytes || length > kLongest) return kLost;
    if (big_endian(bytes.substr(kLengthBytes)) >> 16 == kVersion3 >> 16) stream.number = 1;
    stream.body = length - 2 * kLengthBytes;
    out.begin("log-in");
    return 2 * kLengthBytes;
  }

  size_t message(Stream& stream, std::string_view bytes, Requests& out) const {
    if (bytes.size() < 1 + kLengthBytes) return kIncomplete;
    const char type = bytes.front();
    const uint32_t length = big_endian(bytes.substr(1));
    if (length < kLengthBytes) return kLost;
    const size_t text_bytes = length - kLengthBytes;
    const bool query = type == 'Q' && text_bytes <= kMaxSqlBytes;
    const size_t looked = 1 + kLengthBytes + (query ? text_bytes : 0);
    if (bytes.size() < looked) return kIncomplete;
    stream.body = query ? 0 : text_bytes;
    if (query) {
      out.begin("query");
      const std::string_view text = bytes.substr(1 + kLengthBytes, text_bytes);
      add_tables(text.substr(0, text.find('\0')), tables_, out);
    } else {
      other(type, out);
    }
    return looked;
  }

  static void other(char type, Requests& out) {
    if (type == 'X') return out.begin("quit");
    if (type == 'p') return out.begin("log-in");
    out.begin("message");
    out.unknown();
  }

  const Space tables_ = Space::named("table");
};

}  // namespace

std::unique_ptr<Dialect> postgres_dialect() { return std::make_unique<Postgres>(); }

}  // namespace evenkeel::host
