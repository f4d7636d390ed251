#include "runtime/host/mixer/http.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

#include "runtime/host/mixer/dialects.h"

namespace evenkeel::host {
namespace {

using mixer::Access;

enum Stage : uint32_t { kRequest = 0, kChunk = 1, kTrailer = 2 };

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

struct Fields {
  uint64_t length = 0;
  bool has_length = false;
  bool chunked = false;
  bool good = true;
};

void read_field(std::string_view line, Fields& fields) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    fields.good = false;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (equal_ignoring_case(name, "content-length")) {
    uint64_t length = 0;
    const bool read = read_number(value, length);
    fields.good = fields.good && read && (!fields.has_length || length == fields.length);
    fields.length = length;
    fields.has_length = true;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    fields.chunked = equal_ignoring_case(value, "chunked");
    fields.good = fields.good && fields.chunked;
  } else if (equal_ignoring_case(name, "upgrade")) {
    fields.good = false;
  }
}

bool is_method(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// Keys are paths. Safe methods (RFC 9110) read, others write.
class Http : public HttpFraming {
 private:
  void request(std::string_view method, std::string_view target, Requests& out) const override {
    static constexpr std::string_view kMethods[] = {"GET",  "HEAD",   "OPTIONS", "TRACE",
                                                    "POST", "DELETE", "PATCH",   "PUT"};
    constexpr ptrdiff_t kSafe = 4;
    const auto* const known = std::find(std::begin(kMethods), std::end(kMethods), method);
    if (known == std::end(kMethods)) {
      out.begin("(unknown method)");
      return out.unknown();
    }
    out.begin(*known);
    if (target == "*") return;
    const bool safe = known - std::begin(kMethods) < kSafe;
    out.key(paths_, target.substr(0, target.find_first_of("?#")),
            safe ? Access::kRead : Access::kWrite);
  }
  const Space paths_ = Space::named("path");
};

}  // namespace

size_t HttpFraming::chunk(Stream& stream, std::string_view bytes) {
  std::string_view rest = bytes;
  std::string_view line;
  if (!take_line(rest, line)) return kIncomplete;
  if (stream.stage == kTrailer) {
    if (line.empty()) stream.stage = kRequest;
    return bytes.size() - rest.size();
  }
  const std::string_view size = trimmed(line.substr(0, line.find(';')));
  uint64_t number = 0;
  const char* const end = size.data() + size.size();
  const auto [stop, error] = std::from_chars(size.data(), end, number, 16);
  if (error != std::errc{} || stop != end || number > UINT64_MAX / 2) return kLost;
  if (number == 0) stream.stage = kTrailer;
  if (number != 0) stream.body = number + 2;  // "\r\n"
  return bytes.size() - rest.size();
}

size_t HttpFraming::head(Stream& stream, std::string_view bytes, Requests& out) const {
  if (stream.stage != kRequest) return chunk(stream, bytes);
  std::string_view rest = bytes;
  std::string_view line;
  if (!take_line(rest, line)) return kIncomplete;
  if (line.empty()) return bytes.size() - rest.size();  // allowed before a request
  const std::string_view method = take_word(line);
  const std::string_view target = take_word(line);
  if (!is_method(method) || target.empty() || !trimmed(line).starts_with("HTTP/1.")) return kLost;
  Fields fields;
  for (;;) {
    if (!take_line(rest, line)) return fields.good ? kIncomplete : kLost;
    if (line.empty()) break;
    read_field(line, fields);
  }
  if (!fields.good || method == "CONNECT") return kLost;
  request(method, target, out);
  if (fields.chunked) {
    stream.stage = kChunk;
  } else {
    stream.body = fields.length;
  }
  return bytes.size() - rest.size();
}

std::unique_ptr<Dialect> http_dialect() { return std::make_unique<Http>(); }

}  // namespace evenkeel::host
