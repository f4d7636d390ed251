#include "runtime/host/output_streams.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/host/output_records.h"

namespace evenkeel::host {
namespace {

const char* event_name(wire::OutputKind kind) {
  switch (kind) {
    case wire::OutputKind::kShutdownWrite:
      return "[shutdown]";
    case wire::OutputKind::kClose:
      return "[close]";
    case wire::OutputKind::kAbort:
      return "[abort]";
    case wire::OutputKind::kOption:
      return "[option]";
    case wire::OutputKind::kUnlisten:
      return "[unlisten]";
    default:
      return "";
  }
}

}  // namespace

OutputStreams split_outputs(const uint8_t* area, uint64_t bytes) {
  OutputStreams streams;
  for_each_output(area, bytes, [&](const wire::OutputRecord& record, const uint8_t* payload) {
    std::string& stream = streams[record.channel];
    stream += event_name(record.kind);
    stream.append(reinterpret_cast<const char*>(payload), record.bytes);
  });
  return streams;
}

size_t first_difference(const std::vector<std::pair<uint32_t, std::string>>& values) {
  size_t first = SIZE_MAX;
  for (size_t i = 1; i < values.size(); ++i) {
    const std::string& a = values.front().second;
    const std::string& b = values[i].second;
    if (a == b) continue;
    const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    first = std::min(first, static_cast<size_t>(ends.first - a.begin()));
  }
  return first;
}

std::string printable(const uint8_t* data, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) {
    const uint8_t c = data[i];
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else if (c >= 0x20 && c < 0x7f && c != '\\') {
      text += static_cast<char>(c);
    } else {
      text += fmt::format("\\x{:02x}", c);
    }
  }
  return text;
}

}  // namespace evenkeel::host
