#include "runtime/host/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <string_view>

#include "runtime/host/clock.h"
#include "runtime/host/output_streams.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {
namespace {

constexpr size_t kShownBytes = 32;  // of one value in a line
constexpr size_t kPreviewBytes = 48;

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string hex_of(std::string_view data) {
  std::string text;
  for (size_t i = 0; i < data.size(); ++i) {
    if (i != 0 && i % 4 == 0) text += ' ';
    text += fmt::format("{:02x}", static_cast<uint8_t>(data[i]));
  }
  return text;
}

std::string printable_text(std::string_view data) {
  return printable(reinterpret_cast<const uint8_t*>(data.data()), data.size());
}

// ", raced by f and g"
std::string raced_text(const record::Diagnosis& diagnosis) {
  if (!diagnosis.has_first_site() || !diagnosis.has_second_site()) return "";
  return fmt::format(", raced by {} and {}", code_text(diagnosis.first_site()),
                     code_text(diagnosis.second_site()));
}

}  // namespace

const char* name_of(record::Kind kind) {
  switch (kind) {
    case record::DIVERGENCE:
      return "DIVERGENCE";
    case record::FAULT:
      return "FAULT";
    case record::LEAK:
      return "LEAK";
    case record::HANG:
      return "HANG";
    case record::SUSPECT:
      return "SUSPECT";
    case record::DEADLOCK:
      return "DEADLOCK";
    case record::LOST_WAKEUP:
      return "LOST WAKE-UP";
    default:
      return "UNKNOWN";
  }
}

std::string time_text(uint64_t realtime_ns) {
  const auto seconds = static_cast<time_t>(realtime_ns / kNsPerSecond);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string who(const record::Value& value) {
  return fmt::format("{} {}", value.replicas_size() == 1 ? "replica" : "replicas",
                     fmt::join(value.replicas(), ","));
}

std::string place_of(const record::Object& object) {
  const std::string module = base_name(object.module());
  switch (object.kind()) {
    case record::Object::HEAP:
      return fmt::format("heap block B{}.{}, {} bytes{}", object.lane(), object.sequence(),
                         object.bytes(), object.freed() ? " (freed)" : "");
    case record::Object::GLOBAL:
      return fmt::format("global {} in {}, {} bytes", object.symbol(), module, object.bytes());
    case record::Object::NAMED:
      return fmt::format("{}, {} bytes", object.symbol(), object.bytes());
    case record::Object::DATA:
      return fmt::format("data of {}", module);
    case record::Object::OUTPUT:
      return fmt::format("output to channel {}", object.channel());
    default:
      return fmt::format("unnamed memory, page {:#x}", object.address());
  }
}

std::string code_text(const record::Frame& frame) {
  const std::string module = base_name(frame.module());
  if (!frame.symbol().empty()) {
    return fmt::format("{}+{:#x} ({})", frame.symbol(), frame.symbol_offset(), module);
  }
  if (!module.empty()) return fmt::format("{}+{:#x}", module, frame.module_offset());
  return fmt::format("{:#x}", frame.address());
}

std::string value_text(const record::Difference& difference, const record::Value& value) {
  if (difference.withheld()) return "[withheld: --report-bytes]";
  // What is shown may begin before the difference and end behind it.
  std::string_view data = value.data();
  data.remove_prefix(std::min(data.size(), difference.begin() - difference.shown_begin()));
  const bool output = difference.object().kind() == record::Object::OUTPUT;
  const size_t all = output ? data.size() : difference.end() - difference.begin();
  const size_t shown = std::min({data.size(), all, output ? kPreviewBytes : kShownBytes});
  data = data.substr(0, shown);
  if (output) return printable_text(data);
  return shown < all ? hex_of(data) + " ..." : hex_of(data);
}

std::string value_change_text(const record::Write& write) {
  if (write.old_bytes().empty() && write.new_bytes().empty()) return "";
  if (write.read()) return fmt::format(": {}", hex_of(write.old_bytes()));
  return fmt::format(": {} -> {}", hex_of(write.old_bytes()), hex_of(write.new_bytes()));
}

std::string preview_of(const record::Input& input) {
  if (input.kind() == "data") {
    if (input.withheld()) return "[withheld: --report-bytes]";
    return printable_text(std::string_view(input.payload()).substr(0, kPreviewBytes));
  }
  return input.value() != 0 ? fmt::format("value {}", input.value()) : "";
}

std::string headline_of(const Report& report) {
  if (report.kind() == record::SUSPECT) return "the inputs of the batch are not serializable";
  if (report.waits_size() != 0) return waits_text(report.waits());
  const bool failure = report.kind() == record::FAULT || report.kind() == record::HANG;
  for (const record::Replica& r : report.replicas()) {
    if (!failure || r.status() == "quiescent") continue;
    return fmt::format("replica {}: {}", r.index(), r.status());
  }
  for (const record::Difference& d : report.differences()) {
    if (d.values_size() < 2) continue;
    return fmt::format("{} disagrees with {}", who(*d.values().rbegin()),
                       fmt::join(d.values(0).replicas(), ","));
  }
  return report.forced() ? "forced by --force-mismatch" : "replicas disagree";
}

std::string summary_of(const Report& report) {
  std::string kind(name_of(report.kind()));
  for (char& c : kind) c = static_cast<char>(c | 0x20);
  if (report.waits_size() != 0 && !report.waits(0).place().empty()) {
    return fmt::format("{} at {}", kind, report.waits(0).place());
  }
  if (report.differences_size() != 0) {
    return fmt::format("{} in {}{}", kind, place_of(report.differences(0).object()),
                       raced_text(report.diagnosis()));
  }
  if (report.interleavings_size() != 0) {
    const record::Interleaving& i = report.interleavings(0);
    return fmt::format("{} interleaving of {} and {} by {}", kind, code_text(i.before()),
                       code_text(i.after()), code_text(i.between()));
  }
  if (report.outputs_size() != 0) {
    return fmt::format("{} in {}", kind, place_of(report.outputs(0).object()));
  }
  return fmt::format("{}{} in batch {}", report.forced() ? "forced " : "", kind, report.batch());
}

}  // namespace evenkeel::host
