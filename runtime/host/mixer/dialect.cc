#include "runtime/host/mixer/dialect.h"

#include <algorithm>
#include <charconv>

#include "runtime/host/mixer/dialects.h"

namespace evenkeel::host {
namespace {

struct Row {
  const char* name;
  std::unique_ptr<Dialect> (*make)();
};

constexpr Row kRows[] = {
    {"memcached", memcached_dialect}, {"http", http_dialect},           {"redis", redis_dialect},
    {"mysql", mysql_dialect},         {"postgresql", postgres_dialect},
};

constexpr char kLostKind[] = "(not understood)";

}  // namespace

std::unique_ptr<Dialect> built_in_dialect(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.make();
  }
  return nullptr;
}

std::string dialect_names() {
  std::string names;
  for (const Row& row : kRows) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

// The length of the part of `bytes` that was used; all of them if the head is not whole.
size_t Dialect::read_head(Stream& stream, std::string_view bytes, Requests& out) const {
  const size_t had = stream.head.size();
  std::string_view all = bytes;
  if (had != 0) {
    stream.head.append(bytes.substr(0, std::max(kMaxHeadBytes, had + 1) - had));
    all = stream.head;
  }
  const size_t used = head(stream, all, out);
  if (used != kIncomplete && used != kLost) {
    stream.head.clear();
    return used - had;
  }
  if (used == kIncomplete && all.size() < kMaxHeadBytes) {
    if (had == 0) stream.head = bytes;
    return bytes.size();
  }
  stream = Stream{};
  stream.lost = true;
  out.begin(kLostKind);
  out.unknown();
  return bytes.size();
}

void Dialect::read(Stream& stream, std::string_view bytes, Requests& out) const {
  if (stream.lost) {
    out.begin(kLostKind);
    return out.unknown();
  }
  if (stream.inside()) out.resume(stream.kind, stream.reach, stream.keys);
  while (!bytes.empty()) {
    if (stream.body != 0) {
      const size_t skipped = std::min<uint64_t>(stream.body, bytes.size());
      stream.body -= skipped;
      bytes.remove_prefix(skipped);
    } else {
      bytes.remove_prefix(read_head(stream, bytes, out));
    }
  }
  if (!stream.inside()) return;
  const size_t last = out.count() - 1;
  stream.kind = out.at(last).kind;
  stream.reach = out.at(last).reach;
  const auto keys = out.keys_of(last);
  stream.keys.assign(keys.begin(), keys.end());
}

std::string_view take_word(std::string_view& text) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

bool take_line(std::string_view& text, std::string_view& line) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  text.remove_prefix(end + 1);
  return true;
}

bool read_number(std::string_view text, uint64_t& number) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stop == end && number <= uint64_t{1} << 63;
}

}  // namespace evenkeel::host
