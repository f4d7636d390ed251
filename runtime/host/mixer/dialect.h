#pragma once
// A protocol, as far as the mixer must know it: where requests begin and end in the bytes of a
// connection, whatever pieces they arrive in, and what each reads and writes.
//
// A request is a sequence of heads, which are looked at whole, and bodies, which are skipped. What
// the server does with a request that has not arrived as a whole needs no key that is not known
// yet: it can only store it. Threads: the coordinator's only one; a dialect itself does not change.
// Memory:  of a stream: at most kMaxHeadBytes, and the keys of the request under way.
// Errors:  none: what cannot be understood is unknown, and so is all that follows on the connection
//          if its end cannot be found.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mixer/mixer.h"
#include "runtime/host/mixer/requests.h"
#include "runtime/wire.h"

namespace evenkeel::host {

// Of a head that arrives in pieces; longer: the rest of the connection is unknown.
constexpr size_t kMaxHeadBytes = 64 << 10;

// One connection: where in a request it is.
struct Stream {
  std::string head;     // what has arrived of a head that is not whole
  uint64_t body = 0;    // bytes to come that need no look
  uint32_t stage = 0;   // the dialect's own; 0: between requests
  uint32_t number = 0;  // the dialect's own, as the next two
  uint32_t position = 0;
  uint32_t total = 0;
  bool lost = false;  // nobody knows where the next request begins

  // The request under way, if any.
  std::string_view kind;
  Reach reach = Reach::kKeys;
  std::vector<mixer::Key> keys;

  [[nodiscard]] bool inside() const { return body != 0 || stage != 0; }
};

class Dialect {
 public:
  Dialect() = default;
  virtual ~Dialect() = default;
  Dialect(const Dialect&) = delete;
  Dialect& operator=(const Dialect&) = delete;

  // The next bytes of a connection; adds what is found in them to `out`.
  void read(Stream& stream, std::string_view bytes, Requests& out) const;
  // Something else that happens to a connection: most protocols know no conflicts of that.
  virtual void notice(wire::InputKind, Requests&) const {}

 protected:
  static constexpr size_t kIncomplete = 0;
  static constexpr size_t kLost = SIZE_MAX;

  // Reads one head at the beginning of `bytes`, which are not empty: its length, after setting
  // stream.body to the number of bytes to skip behind it; or, having changed nothing, kIncomplete;
  // or kLost. A head that is incomplete with some bytes is longer than those.
  virtual size_t head(Stream& stream, std::string_view bytes, Requests& out) const = 0;

 private:
  size_t read_head(Stream& stream, std::string_view bytes, Requests& out) const;
};

// Null: there is no such dialect.
[[nodiscard]] std::unique_ptr<Dialect> built_in_dialect(std::string_view name);
// "memcached, redis, ...": for messages.
[[nodiscard]] std::string dialect_names();

// ---- what dialects share

// Takes the next word off the front; empty: there is none. Separator: spaces.
std::string_view take_word(std::string_view& text);
// Takes a line off the front, without its end, which is "\n" or "\r\n". False: it has none.
bool take_line(std::string_view& text, std::string_view& line);
// False: not a decimal number, or more than 2^63.
bool read_number(std::string_view text, uint64_t& number);

}  // namespace evenkeel::host
