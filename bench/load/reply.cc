#include "bench/load/reply.h"

#include <charconv>
#include <cstddef>

namespace evenkeel::load {
namespace {

bool take_number(std::string_view& text, size_t& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return true;
}

// VALUE <key> <flags> <bytes>
bool parse_value_line(std::string_view line, ValueView& value, size_t& bytes) {
  line.remove_prefix(6);
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  value.key = line.substr(0, space);
  line.remove_prefix(space + 1);
  size_t flags = 0;
  if (!take_number(line, flags) || !line.starts_with(' ')) return false;
  line.remove_prefix(1);
  value.flags = static_cast<uint32_t>(flags);
  return take_number(line, bytes) && line.empty();
}

}  // namespace

size_t parse_reply(std::string_view input, Reply& reply) {
  reply.values.clear();
  reply.malformed = false;
  for (size_t at = 0;;) {
    const size_t end = input.find("\r\n", at);
    if (end == std::string_view::npos) return 0;
    reply.line = input.substr(at, end - at);
    at = end + 2;
    if (!reply.line.starts_with("VALUE ")) return at;
    ValueView value{};
    size_t bytes = 0;
    reply.malformed = !parse_value_line(reply.line, value, bytes);
    if (reply.malformed) return at;
    if (input.size() < at + bytes + 2) return 0;
    value.data = input.substr(at, bytes);
    reply.malformed = input.substr(at + bytes, 2) != "\r\n";
    if (reply.malformed) return at + bytes;
    reply.values.push_back(value);
    at += bytes + 2;
  }
}

}  // namespace evenkeel::load
