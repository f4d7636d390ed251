#include "runtime/host/signature.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace evenkeel::host {
namespace {

// In an object larger than this an offset is a place in a buffer, not a field.
constexpr uint64_t kMaxStructBytes = 256;
constexpr uint64_t kFieldBytes = 8;

uint64_t hash_of(const std::string& text) {
  const uint64_t hash = XXH3_64bits(text.data(), text.size());
  return hash != 0 ? hash : 1;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string site_of(const record::Frame& frame) {
  if (frame.module().empty()) return "code outside of files";
  return fmt::format("{}+{:#x}", base_name(frame.module()), frame.module_offset());
}

std::string type_of(const record::Object& object) {
  switch (object.kind()) {
    case record::Object::GLOBAL:
      return fmt::format("a global {} {}", base_name(object.module()), object.symbol());
    case record::Object::DATA:
      return fmt::format("b data {}", base_name(object.module()));
    case record::Object::NAMED:
      return fmt::format("a named {}", object.symbol());
    case record::Object::HEAP:
      return fmt::format("c heap {}", std::bit_ceil(object.bytes()));
    default:
      return "d memory";
  }
}

std::string type_of(const record::Difference& difference) {
  const record::Object& object = difference.object();
  const std::string type = type_of(object);
  if (object.kind() != record::Object::HEAP || object.bytes() > kMaxStructBytes) return type;
  return fmt::format("{} field {}", type, difference.begin() / kFieldBytes);
}

// Which of the objects that race differ in a batch is chance: the first type of all, by name.
std::string object_type(const record::Report& report) {
  std::string least;
  for (const record::Difference& d : report.differences()) {
    const std::string type = type_of(d);
    if (least.empty() || type < least) least = type;
  }
  if (!least.empty()) return least;
  return report.outputs_size() != 0 ? "output" : "nothing";
}

std::string fault_site(const record::Report& report) {
  for (const record::Replica& r : report.replicas()) {
    if (!r.has_fault()) continue;
    return fmt::format("signal {} at {}", r.fault().signal(), site_of(r.fault().code()));
  }
  return "unknown";
}

std::string wait_types(const record::Report& report) {
  std::vector<std::string> types;
  for (const record::Wait& w : report.waits()) {
    types.push_back(fmt::format("{} {}", w.kind(), type_of(w.named())));
  }
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  std::string text;
  for (const std::string& type : types) text += type + "; ";
  return text;
}

std::string interleaving_type(const record::Report& report) {
  if (report.interleavings_size() == 0) return "unknown";
  const record::Interleaving& i = report.interleavings(0);
  return fmt::format("{} {} {}", site_of(i.before()), site_of(i.between()), site_of(i.after()));
}

// A follower that left the recorded order stopped half-way: what differs then is chance.
bool left_order(const record::Report& report) {
  return std::any_of(report.threads().begin(), report.threads().end(), [](const auto& thread) {
    return thread.state() == "left the recorded order";
  });
}

std::string evidence_of(const record::Report& report) {
  switch (report.kind()) {
    case record::FAULT:
      return fault_site(report);
    case record::DEADLOCK:
    case record::LOST_WAKEUP:
      return wait_types(report);
    case record::SUSPECT:
      return interleaving_type(report);
    case record::HANG:
      return "hang";
    default:
      if (report.forced()) return "forced";
      return left_order(report) ? "order" : object_type(report);
  }
}

}  // namespace

uint64_t signature_of(const record::Report& report) {
  return hash_of(fmt::format("{} {}", static_cast<int>(report.kind()), evidence_of(report)));
}

uint64_t race_of(const record::Report& report) {
  const record::Diagnosis& diagnosis = report.diagnosis();
  if (!diagnosis.has_first_site() || !diagnosis.has_second_site()) return 0;
  std::string first = site_of(diagnosis.first_site());
  std::string second = site_of(diagnosis.second_site());
  if (second < first) first.swap(second);
  return hash_of(fmt::format("race {} {}", first, second));
}

std::string signature_text(uint64_t signature) { return fmt::format("{:016x}", signature); }

}  // namespace evenkeel::host
