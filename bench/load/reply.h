#pragma once
// Replies of the memcached text protocol.
#include <cstdint>
#include <string_view>
#include <vector>

namespace evenkeel::load {

struct ValueView {
  std::string_view key;
  uint32_t flags;
  std::string_view data;
};

// Views into the connection's input buffer: valid until more is read.
struct Reply {
  std::string_view line;          // the last line, without its end
  std::vector<ValueView> values;  // before it
  bool malformed = false;         // `line` is where it went wrong
};

// Parses one reply at the front of `input`. Returns its length, 0 if it is not complete.
size_t parse_reply(std::string_view input, Reply& reply);

}  // namespace evenkeel::load
