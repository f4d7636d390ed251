// The MySQL client/server protocol: packets of a 3-byte length, little endian, and a number. A
// command begins with number 0; what a client sends with others belongs to its log-in. (A client
// that asks for TLS or compression is not understood from there on.)
#include <algorithm>

#include "runtime/host/mixer/dialects.h"
#include "runtime/host/mixer/sql.h"

namespace evenkeel::host {
namespace {

constexpr size_t kHeaderBytes = 4;
constexpr uint32_t kWholePacket = 0xffffff;  // another packet continues it
constexpr size_t kMaxSqlBytes = 32 << 10;    // longer statements: unknown

enum Command : uint8_t { kQuit = 1, kInitDb = 2, kQuery = 3, kPing = 14 };

class Mysql : public Dialect {
 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    if (bytes.size() < kHeaderBytes + 1) return kIncomplete;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    const uint32_t length = byte(0) | byte(1) << 8 | byte(2) << 16;
    if (length == 0) return kHeaderBytes;  // the end of a packet of exactly 16 MiB, or of nothing
    const bool query = byte(3) == 0 && byte(4) == kQuery && length <= kMaxSqlBytes;
    const size_t looked = query ? length : 1;
    if (bytes.size() < kHeaderBytes + looked) return kIncomplete;
    stream.body = length - looked;
    if (byte(3) != 0) {
      out.begin("log-in");
    } else if (query) {
      out.begin("query");
      add_tables(bytes.substr(kHeaderBytes + 1, length - 1), tables_, out);
    } else {
      command(byte(4), out);
    }
    if (length == kWholePacket) out.unknown();
    return kHeaderBytes + looked;
  }

  static void command(uint8_t code, Requests& out) {
    out.begin(code == kQuit     ? "quit"
              : code == kInitDb ? "use"
              : code == kPing   ? "ping"
                                : "command");
    if (code != kQuit && code != kInitDb && code != kPing) out.unknown();
  }

  const Space tables_ = Space::named("table");
};

}  // namespace

std::unique_ptr<Dialect> mysql_dialect() { return std::make_unique<Mysql>(); }

}  // namespace evenkeel::host
