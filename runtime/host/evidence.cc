#include "runtime/host/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <set>

#include "runtime/host/output_streams.h"
#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kPageBytes = 4096;
// Differing bytes closer than this are shown as one range.
constexpr uint64_t kJoinBytes = 8;

const char* kind_name(wire::InputKind kind) {
  switch (kind) {
    case wire::InputKind::kOpened:
      return "opened";
    case wire::InputKind::kData:
      return "data";
    case wire::InputKind::kEof:
      return "eof";
    case wire::InputKind::kReset:
      return "reset";
    case wire::InputKind::kBacklog:
      return "backlog";
    case wire::InputKind::kConnected:
      return "connected";
    case wire::InputKind::kSignal:
      return "signal";
  }
  return "unknown";
}

std::string hex_of(const uint8_t* data, uint64_t bytes) {
  std::string text;
  const uint64_t shown = std::min(bytes, Evidence::kMaxShownBytes);
  for (uint64_t i = 0; i < shown; ++i) {
    if (i != 0 && i % 4 == 0) text += ' ';
    text += fmt::format("{:02x}", data[i]);
  }
  return shown < bytes ? text + " ..." : text;
}

// What an entry of the order log stands for: sched::Tag, in its order.
std::string operation_text(uint32_t tag) {
  static constexpr const char* kNames[] = {"unknown operation",
                                           "mutex",
                                           "condition variable",
                                           "rwlock",
                                           "semaphore",
                                           "barrier",
                                           "spin lock",
                                           "once",
                                           "futex",
                                           "descriptor's object",
                                           "kernel table",
                                           "heap segment",
                                           "annotation"};
  constexpr uint32_t kTagBits = 0x3f;
  const uint32_t number = tag & kTagBits;
  std::string text = number < std::size(kNames) ? kNames[number] : kNames[0];
  if ((tag & 0x80) != 0) text += " (failed)";
  if ((tag & 0x40) != 0) text += " (blocked)";
  return text;
}

std::string contradiction_text(const wire::Result& result) {
  if (result.log_object == 0 && result.log_entry == 0) return "";
  const std::string logged =
      result.log_entry == 0
          ? "nothing more"
          : fmt::format("{} in version {}", operation_text(result.log_entry & 0xff),
                        result.log_entry >> 8);
  return fmt::format(": T{} at its operation {}: {} {:#x} in version {}, the log has {}",
                     result.log_thread, result.log_index, operation_text(result.log_tag),
                     result.log_object, result.log_version, logged);
}

std::string token_text(const wire::Token& token) {
  return fmt::format("{:016x}{:016x}", token.high, token.low);
}

// Who has which value, the value of the lowest replica first.
template <typename Value, typename Show>
std::vector<Side> group(const std::vector<std::pair<uint32_t, Value>>& values, Show show) {
  std::vector<Side> sides;
  std::vector<const Value*> seen;
  for (const auto& [replica, value] : values) {
    size_t at = 0;
    while (at < seen.size() && !(*seen[at] == value)) ++at;
    if (at == seen.size()) {
      seen.push_back(&value);
      sides.push_back({{}, show(value)});
    }
    sides[at].replicas.push_back(replica);
  }
  return sides;
}

}  // namespace

Report Evidence::collect_silently(ReportKind kind, const Batch* batch, const std::string& server) {
  Report report;
  report.kind = kind;
  report.server = server;
  report.pid = deck_.boot.reported_pid;
  report.batch = executor_.batch();
  report.realtime_ns = deck_.command.realtime_ns;
  report.primary = replicas_.primary();
  add_replicas(report);
  if (batch != nullptr) add_inputs(report, *batch);
  return report;
}

Report Evidence::collect(ReportKind kind, const Batch* batch, const std::string& server) {
  Report report = collect_silently(kind, batch, server);
  add_outputs(report);
  add_memory(report);
  add_waits(report);
  return report;
}

Report Evidence::collect_waits(ReportKind kind, const Batch& batch, const std::string& server) {
  Report report = collect_silently(kind, &batch, server);
  add_waits(report);
  return report;
}

// Of the first replica that is deadlocked; else of the primary, if it has been told what to look
// for.
void Evidence::add_waits(Report& report) {
  const bool deadlock = report.kind == ReportKind::kDeadlock;
  if (!deadlock && report.kind != ReportKind::kLostWakeup) return;
  uint32_t source = report.primary;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const bool stuck = executor_.result(i).status == wire::Status::kDeadlock;
    if (stuck && executor_.result(source).status != wire::Status::kDeadlock) source = i;
  });
  const wire::Waits& waits = deck_.replicas[source].waits;
  report.waits = view_waits(waits);
  report.waits_truncated = waits.truncated != 0;
  name_waits(report.waits);
}

void Evidence::name_waits(std::vector<WaitView>& waits) {
  constexpr uint64_t kPageMask = ~(kPageBytes - 1);
  std::vector<uint64_t> pages;
  for (const WaitView& wait : waits) pages.push_back(wait.object & kPageMask);
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  executor_.dump(pages);
  for (WaitView& wait : waits) {
    if (wait.kind == wire::WaitKind::kJoin) continue;  // the word of a thread that has a name
    Difference found;
    found.page = wait.object & kPageMask;
    name_place(found, wait.object);
    wait.place =
        found.begin == 0 ? found.place : fmt::format("{}, at byte {}", found.place, found.begin);
  }
}

std::string Evidence::status_text(uint32_t replica) const {
  const wire::Result& result = executor_.result(replica);
  switch (result.status) {
    case wire::Status::kQuiescent:
      return "quiescent";
    case wire::Status::kDiverged:
      return "left the recorded order" + contradiction_text(result);
    case wire::Status::kExited:
      return result.exit_signal != 0 ? fmt::format("ended by signal {}", result.exit_signal)
                                     : fmt::format("exited with {}", result.exit_status);
    case wire::Status::kFault:
      return fmt::format("{} at {:#x} in T{}, code {}", ::strsignal(result.fault_signal),
                         result.fault_address, result.fault_thread,
                         name_code(replicas_.server_pid(replica), result.fault_code));
    case wire::Status::kDeadlock:
      return "deadlocked";
    case wire::Status::kHang:
      return "did not come to rest" + caught_text(replica);
    default:
      return "running";
  }
}

std::string Evidence::caught_text(uint32_t replica) const {
  const wire::Replica& source = deck_.replicas[replica];
  const uint32_t count = std::min(source.caught_count.load(), wire::kMaxCaught);
  std::string text = count == 0 ? "" : "; stopped";
  for (uint32_t i = 0; i < count; ++i) {
    text += fmt::format("{} T{} at {}", i == 0 ? "" : ",", source.caught[i].thread,
                        name_code(replicas_.server_pid(replica), source.caught[i].code));
  }
  return text;
}

void Evidence::add_replicas(Report& report) {
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const bool done = deck_.replicas[i].done_sequence.load() == deck_.command_sequence.load();
    const wire::Result& result = executor_.result(i);
    report.replicas.push_back({i, done ? status_text(i) : "still running",
                               done ? token_text(result.token) : "none", result.dirty_pages});
  });
}

void Evidence::add_inputs(Report& report, const Batch& batch) {
  report.inputs_total = batch.count();
  const auto shown = std::min<uint32_t>(batch.count(), kMaxInputs);
  for (uint32_t i = 0; i < shown; ++i) {
    const wire::Input& input = batch.input(i);
    InputView view{i, kind_name(input.kind), input.channel, input.bytes, {}};
    if (input.kind == wire::InputKind::kData) {
      view.preview = printable(batch.payload(input), std::min<size_t>(input.bytes, kPreviewBytes));
    } else if (input.value != 0) {
      view.preview = fmt::format("value {}", input.value);
    }
    report.inputs.push_back(std::move(view));
  }
}

void Evidence::add_outputs(Report& report) {
  std::vector<std::pair<uint32_t, OutputStreams>> streams;
  std::set<uint64_t> channels;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const wire::Result& result = executor_.result(i);
    if (result.status != wire::Status::kQuiescent) return;  // its outputs are not complete
    streams.emplace_back(i, split_outputs(deck_.outputs[i], result.output_bytes));
    for (const auto& [channel, text] : streams.back().second) channels.insert(channel);
  });
  for (const uint64_t channel : channels) {
    std::vector<std::pair<uint32_t, std::string>> values;
    for (auto& [replica, map] : streams) values.emplace_back(replica, map[channel]);
    const size_t at = first_difference(values);
    if (at == SIZE_MAX) continue;
    if (report.outputs.size() == kMaxOutputs) {
      ++report.differences_left_out;
      continue;
    }
    Difference difference;
    difference.place = fmt::format("output to channel {}", channel);
    difference.begin = at;
    difference.sides = group(values, [at](const std::string& text) {
      const size_t from = std::min(text.size(), at);
      return printable(reinterpret_cast<const uint8_t*>(text.data()) + from,
                       std::min(text.size() - from, kPreviewBytes));
    });
    report.outputs.push_back(std::move(difference));
  }
}

std::vector<uint64_t> Evidence::differing_pages(Report& report) {
  struct Seen {
    uint32_t count = 0;
    wire::Token hash{};
    bool differs = false;
  };
  std::map<uint64_t, Seen> pages;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const wire::Report& listed = deck_.replicas[i].report;
    report.pages_truncated = report.pages_truncated || listed.leaves_truncated != 0;
    const uint32_t count = std::min(listed.leaf_count, wire::kMaxLeaves);
    for (uint32_t k = 0; k < count; ++k) {
      Seen& seen = pages[listed.leaves[k].page];
      seen.differs = seen.differs || (seen.count != 0 && !(seen.hash == listed.leaves[k].hash));
      seen.hash = listed.leaves[k].hash;
      ++seen.count;
    }
  });
  std::vector<uint64_t> differing;
  for (const auto& [page, seen] : pages) {
    // Changed here but not there is a difference too.
    if (seen.differs || seen.count != replicas_.live_count()) differing.push_back(page);
  }
  return differing;
}

void Evidence::add_memory(Report& report) {
  if (replicas_.live_count() < 2) return;
  executor_.describe();
  const std::vector<uint64_t> pages = differing_pages(report);
  report.differing_pages = pages.size();
  for (size_t at = 0; at < pages.size() && report.differences.size() < kMaxDifferences;
       at += wire::kMaxDumpPages) {
    const size_t count = std::min<size_t>(pages.size() - at, wire::kMaxDumpPages);
    executor_.dump({pages.data() + at, count});
    for (size_t i = 0; i < count; ++i) compare_page(report, pages[at + i]);
    if (at != 0) break;  // two rounds: enough to show what there is, not everything there is
  }
}

const wire::PageDump* Evidence::dump_of(uint32_t replica, uint64_t page) const {
  for (const wire::PageDump& dump : deck_.replicas[replica].report.dumps) {
    if (dump.page == page) return &dump;
  }
  return nullptr;
}

void Evidence::compare_page(Report& report, uint64_t page) {
  std::vector<const wire::PageDump*> dumps;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) { dumps.push_back(dump_of(i, page)); });
  if (std::find(dumps.begin(), dumps.end(), nullptr) != dumps.end()) return;
  uint64_t begin = kPageBytes;
  uint64_t end = 0;
  for (uint64_t i = 0; i <= kPageBytes; ++i) {
    const bool differs = i < kPageBytes && std::any_of(dumps.begin(), dumps.end(), [&](auto* dump) {
                           return dump->bytes[i] != dumps.front()->bytes[i];
                         });
    if (differs) {
      begin = std::min(begin, i);
      end = i + 1;
    } else if (end != 0 && (i - end >= kJoinBytes || i == kPageBytes)) {
      add_difference(report, page, begin & ~uint64_t{3}, (end + 3) & ~uint64_t{3});
      begin = kPageBytes;
      end = 0;
    }
  }
}

void Evidence::add_difference(Report& report, uint64_t page, uint64_t begin, uint64_t end) {
  if (report.differences.size() >= kMaxDifferences) {
    ++report.differences_left_out;
    return;
  }
  Difference difference;
  difference.page = page;
  std::vector<std::pair<uint32_t, std::string>> values;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const auto* bytes = reinterpret_cast<const char*>(dump_of(i, page)->bytes);
    values.emplace_back(i, std::string(bytes + begin, end - begin));
  });
  difference.sides = group(values, [](const std::string& value) {
    return hex_of(reinterpret_cast<const uint8_t*>(value.data()), value.size());
  });
  difference.begin = begin;
  difference.end = end;
  name_place(difference, page + begin);
  report.differences.push_back(std::move(difference));
}

bool Evidence::name_named_object(Difference& difference, uint64_t address) const {
  const wire::Report& report = deck_.replicas[replicas_.primary()].report;
  const uint32_t count = std::min(report.named_count, wire::kMaxNamedObjects);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::NamedObject& object = report.named[i];
    if (address - object.begin >= object.bytes) continue;
    const std::string label(object.label, ::strnlen(object.label, sizeof object.label));
    const uint64_t length = difference.end - difference.begin;
    difference.place = fmt::format("{}, {} bytes", label, object.bytes);
    difference.begin = address - object.begin;
    difference.end = difference.begin + length;
    return true;
  }
  return false;
}

void Evidence::name_place(Difference& difference, uint64_t address) {
  if (name_named_object(difference, address)) return;
  if (!name_heap_object(difference, address, difference.page)) name_region(difference, address);
}

bool Evidence::name_heap_object(Difference& difference, uint64_t address, uint64_t page) const {
  const wire::PageDump* dump = dump_of(replicas_.primary(), page);
  if (dump == nullptr) return false;
  const uint32_t count = std::min(dump->object_count, wire::kMaxObjects);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::HeapObject& object = dump->objects[i];
    // bytes + 1: even an empty object covers its own address.
    if (address - object.base >= object.bytes + 1) continue;
    const uint64_t length = difference.end - difference.begin;
    difference.place = fmt::format("heap block B{}.{}, {} bytes{}", object.lane, object.sequence,
                                   object.bytes, object.freed != 0 ? " (freed)" : "");
    difference.begin = address - object.base;
    difference.end = difference.begin + length;
    return true;
  }
  return false;
}

void Evidence::name_region(Difference& difference, uint64_t address) const {
  const wire::Replica& replica = deck_.replicas[replicas_.primary()];
  const uint32_t count = std::min(replica.region_count.load(), wire::kMaxRegions);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Region& region = replica.regions[i];
    if (address < region.begin || address >= region.end) continue;
    const std::string name(region.name, ::strnlen(region.name, sizeof region.name));
    const uint64_t file_offset = address - region.begin + region.file_offset;
    const auto symbol =
        name.starts_with('/') ? find_symbol(name, file_offset, false) : std::nullopt;
    const std::string base = name.substr(name.rfind('/') + 1);
    const uint64_t length = difference.end - difference.begin;
    difference.begin = symbol ? symbol->offset : file_offset;
    difference.end = difference.begin + length;
    difference.symbol = symbol ? symbol->name : "";
    difference.place =
        symbol ? fmt::format("global {} in {}, {} bytes", symbol->name, base, symbol->bytes)
               : fmt::format("data of {}", base);
    return;
  }
  difference.place = fmt::format("unnamed memory, page {:#x}", difference.page);
}

}  // namespace evenkeel::host
