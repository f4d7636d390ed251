#include "runtime/host/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/host/clock.h"

namespace evenkeel::host {
namespace {

std::string when(uint64_t realtime) {
  const auto seconds = static_cast<time_t>(realtime / kNsPerSecond);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string who(const Side& side) {
  return fmt::format("{} {}", side.replicas.size() == 1 ? "replica" : "replicas",
                     fmt::join(side.replicas, ","));
}

void add_sides(std::string& out, const Difference& difference) {
  for (const Side& side : difference.sides) {
    fmt::format_to(std::back_inserter(out), "    {:<14} {}\n", who(side), side.value);
  }
}

void add_differences(std::string& out, const Report& report) {
  for (const Difference& d : report.differences) {
    fmt::format_to(std::back_inserter(out), "  Differs: {}, bytes [{},{})\n", d.place, d.begin,
                   d.end);
    add_sides(out, d);
  }
  for (const Difference& d : report.outputs) {
    fmt::format_to(std::back_inserter(out), "  Differs: {}, from byte {}\n", d.place, d.begin);
    add_sides(out, d);
  }
  if (report.differences_left_out != 0) {
    fmt::format_to(std::back_inserter(out), "  [{} more differences left out; {} pages differ]\n",
                   report.differences_left_out, report.differing_pages);
  }
  if (report.pages_truncated) out += "  [the list of changed pages was full: there may be more]\n";
  if (report.kind == ReportKind::kSuspect) return;
  if (report.differences.empty() && report.outputs.empty()) {
    out += report.forced ? "  Differs: nothing; the mismatch was forced (--force-mismatch)\n"
                         : "  Differs: nothing in memory or output that could be compared\n";
  }
}

void add_waits(std::string& out, const Report& report) {
  for (const WaitView& wait : report.waits) {
    fmt::format_to(std::back_inserter(out), "  Waits: {}\n", wait_text(wait));
  }
  if (report.waits_truncated) out += "  [more waits left out]\n";
}

void add_interleavings(std::string& out, const Report& report) {
  for (const InterleavingView& i : report.interleavings) {
    const bool learnt = i.lock == 0;
    out += learnt ? "  Interleaved: an interleaving that was learnt, put to the test again\n"
                  : fmt::format("  Interleaved: lock {:#x}, acquired by channels {}, {}, {}\n",
                                i.lock, i.input, i.other, i.input);
    fmt::format_to(std::back_inserter(out),
                   "    one input   {}\n    another     {}\n    the first   {}\n", i.before,
                   i.between, i.after);
  }
  if (report.interleavings.size() < report.interleavings_total) {
    fmt::format_to(std::back_inserter(out), "  [{} more interleavings left out]\n",
                   report.interleavings_total - report.interleavings.size());
  }
}

void add_replicas(std::string& out, const Report& report) {
  for (const ReplicaView& r : report.replicas) {
    fmt::format_to(std::back_inserter(out), "  Replica {}{}: {}, {} pages changed, token {}\n",
                   r.index, r.index == report.primary ? " (primary)" : "", r.status, r.dirty_pages,
                   r.token);
  }
}

void add_inputs(std::string& out, const Report& report) {
  fmt::format_to(std::back_inserter(out), "  Inputs of the batch: {}\n", report.inputs_total);
  for (const InputView& i : report.inputs) {
    fmt::format_to(std::back_inserter(out), "    {:>5}  {:<9} channel {:<10} {:>7} bytes  {}\n",
                   i.index, i.kind, i.channel, i.bytes, i.preview);
  }
  if (report.inputs.size() < report.inputs_total) {
    fmt::format_to(std::back_inserter(out), "    [{} more left out]\n",
                   report.inputs_total - report.inputs.size());
  }
}

std::string headline(const Report& report) {
  if (report.kind == ReportKind::kSuspect) return "the inputs of the batch are not serializable";
  if (!report.waits.empty()) return waits_text(report.waits);
  const bool failure = report.kind == ReportKind::kFault || report.kind == ReportKind::kHang;
  for (const ReplicaView& r : report.replicas) {
    if (!failure || r.status == "quiescent") continue;
    return fmt::format("replica {}: {}", r.index, r.status);
  }
  for (const Difference& d : report.differences) {
    if (d.sides.size() < 2) continue;
    return fmt::format("{} disagrees with {}", who(d.sides.back()),
                       fmt::join(d.sides.front().replicas, ","));
  }
  return report.forced ? "forced by --force-mismatch" : "replicas disagree";
}

nlohmann::json to_json(const Difference& d) {
  nlohmann::json sides = nlohmann::json::array();
  for (const Side& side : d.sides) {
    sides.push_back({{"replicas", side.replicas}, {"value", side.value}});
  }
  return {{"place", d.place}, {"symbol", d.symbol}, {"page", d.page},
          {"begin", d.begin}, {"end", d.end},       {"sides", sides}};
}

nlohmann::json to_json(const InterleavingView& i) {
  return {{"lock", i.lock},     {"input", i.input},     {"other", i.other},
          {"before", i.before}, {"between", i.between}, {"after", i.after}};
}

nlohmann::json to_json(const std::vector<Difference>& list) {
  nlohmann::json out = nlohmann::json::array();
  for (const Difference& d : list) out.push_back(to_json(d));
  return out;
}

}  // namespace

const char* name_of(ReportKind kind) {
  switch (kind) {
    case ReportKind::kDivergence:
      return "DIVERGENCE";
    case ReportKind::kFault:
      return "FAULT";
    case ReportKind::kLeak:
      return "LEAK";
    case ReportKind::kHang:
      return "HANG";
    case ReportKind::kSuspect:
      return "SUSPECT";
    case ReportKind::kDeadlock:
      return "DEADLOCK";
    case ReportKind::kLostWakeup:
      return "LOST WAKE-UP";
  }
  return "UNKNOWN";
}

std::string summary_of(const Report& report) {
  std::string kind(name_of(report.kind));
  for (char& c : kind) c = static_cast<char>(c | 0x20);
  if (!report.waits.empty() && !report.waits.front().place.empty()) {
    return fmt::format("{} at {}", kind, report.waits.front().place);
  }
  if (!report.differences.empty()) {
    return fmt::format("{} in {}", kind, report.differences.front().place);
  }
  if (!report.interleavings.empty()) {
    const InterleavingView& i = report.interleavings.front();
    return fmt::format("{} interleaving of {} and {} by {}", kind, i.before, i.after, i.between);
  }
  if (!report.outputs.empty()) return fmt::format("{} in {}", kind, report.outputs.front().place);
  return fmt::format("{}{} in batch {}", report.forced ? "forced " : "", kind, report.batch);
}

std::string render_text(const Report& report) {
  std::string out = fmt::format("==evenkeel {}== {} batch {}: {}\n", report.pid,
                                name_of(report.kind), report.batch, headline(report));
  if (report.waits.empty()) add_differences(out, report);
  add_interleavings(out, report);
  add_waits(out, report);
  add_replicas(out, report);
  add_inputs(out, report);
  fmt::format_to(std::back_inserter(out), "  When: {}, server {}\n", when(report.realtime_ns),
                 report.server);
  fmt::format_to(std::back_inserter(out), "  Action: {}\n", fmt::join(report.actions, "; "));
  fmt::format_to(std::back_inserter(out), "  Outcome: {}\n", report.outcome);
  fmt::format_to(std::back_inserter(out), "SUMMARY: evenkeel: {}\n==evenkeel {}== end\n",
                 summary_of(report), report.pid);
  return out;
}

nlohmann::json render_json(const Report& report) {
  nlohmann::json replicas = nlohmann::json::array();
  for (const ReplicaView& r : report.replicas) {
    replicas.push_back({{"replica", r.index},
                        {"status", r.status},
                        {"token", r.token},
                        {"dirty_pages", r.dirty_pages}});
  }
  nlohmann::json inputs = nlohmann::json::array();
  for (const InputView& i : report.inputs) {
    inputs.push_back({{"index", i.index},
                      {"kind", i.kind},
                      {"channel", i.channel},
                      {"bytes", i.bytes},
                      {"preview", i.preview}});
  }
  nlohmann::json interleavings = nlohmann::json::array();
  for (const InterleavingView& i : report.interleavings) interleavings.push_back(to_json(i));
  return {{"id", report.id},
          {"kind", name_of(report.kind)},
          {"server", report.server},
          {"pid", report.pid},
          {"batch", report.batch},
          {"time", when(report.realtime_ns)},
          {"primary", report.primary},
          {"forced", report.forced},
          {"replicas", replicas},
          {"differences", to_json(report.differences)},
          {"differing_pages", report.differing_pages},
          {"pages_truncated", report.pages_truncated},
          {"differences_left_out", report.differences_left_out},
          {"outputs", to_json(report.outputs)},
          {"waits", waits_json(report.waits)},
          {"waits_truncated", report.waits_truncated},
          {"interleavings", interleavings},
          {"interleavings_total", report.interleavings_total},
          {"inputs", inputs},
          {"inputs_total", report.inputs_total},
          {"actions", report.actions},
          {"outcome", report.outcome},
          {"summary", summary_of(report)}};
}

}  // namespace evenkeel::host
