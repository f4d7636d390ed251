// A record for the terminal. The order is fixed: fact, evidence, what was done, how to repeat, one
// summary to search for.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "runtime/host/report.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {
namespace {

constexpr int kMaxShownInputs = 64;

void add_values(std::string& out, const record::Difference& difference) {
  for (const record::Value& value : difference.values()) {
    fmt::format_to(std::back_inserter(out), "    {:<14} {}\n", who(value),
                   value_text(difference, value));
  }
}

void add_differences(std::string& out, const Report& report) {
  for (const record::Difference& d : report.differences()) {
    fmt::format_to(std::back_inserter(out), "  Differs: {}, bytes [{},{})\n", place_of(d.object()),
                   d.begin(), d.end());
    add_values(out, d);
  }
  for (const record::Difference& d : report.outputs()) {
    fmt::format_to(std::back_inserter(out), "  Differs: {}, from byte {}\n", place_of(d.object()),
                   d.begin());
    add_values(out, d);
  }
  if (report.differences_left_out() != 0) {
    fmt::format_to(std::back_inserter(out), "  [{} more differences left out; {} pages differ]\n",
                   report.differences_left_out(), report.differing_pages());
  }
  if (report.pages_truncated()) {
    out += "  [the list of changed pages was full: there may be more]\n";
  }
  if (report.kind() == record::SUSPECT) return;
  if (report.differences_size() == 0 && report.outputs_size() == 0) {
    out += report.forced() ? "  Differs: nothing; the mismatch was forced (--force-mismatch)\n"
                           : "  Differs: nothing in memory or output that could be compared\n";
  }
}

void add_waits(std::string& out, const Report& report) {
  for (const record::Wait& wait : report.waits()) {
    fmt::format_to(std::back_inserter(out), "  Waits: {}\n", wait_text(wait));
  }
  if (report.waits_truncated()) out += "  [more waits left out]\n";
}

void add_interleavings(std::string& out, const Report& report) {
  for (const record::Interleaving& i : report.interleavings()) {
    const bool learnt = i.lock() == 0;
    out += learnt ? "  Interleaved: an interleaving that was learnt, put to the test again\n"
                  : fmt::format("  Interleaved: lock {:#x}, acquired by channels {}, {}, {}\n",
                                i.lock(), i.input(), i.other(), i.input());
    fmt::format_to(std::back_inserter(out),
                   "    one input   {}\n    another     {}\n    the first   {}\n",
                   code_text(i.before()), code_text(i.between()), code_text(i.after()));
  }
  const auto shown = static_cast<uint64_t>(report.interleavings_size());
  if (shown < report.interleavings_total()) {
    fmt::format_to(std::back_inserter(out), "  [{} more interleavings left out]\n",
                   report.interleavings_total() - shown);
  }
}

void add_replicas(std::string& out, const Report& report) {
  for (const record::Replica& r : report.replicas()) {
    fmt::format_to(std::back_inserter(out), "  Replica {}{}: {}, {} pages changed, token {}\n",
                   r.index(), r.index() == report.primary() ? " (primary)" : "", r.status(),
                   r.dirty_pages(), r.token());
  }
}

void add_inputs(std::string& out, const Report& report) {
  fmt::format_to(std::back_inserter(out), "  Inputs of the batch: {}\n", report.inputs_total());
  const int shown = std::min(report.inputs_size(), kMaxShownInputs);
  for (int k = 0; k < shown; ++k) {
    const record::Input& i = report.inputs(k);
    fmt::format_to(std::back_inserter(out), "    {:>5}  {:<9} channel {:<10} {:>7} bytes  {}\n",
                   i.index(), i.kind(), i.channel(), i.bytes(), preview_of(i));
  }
  if (static_cast<uint64_t>(shown) < report.inputs_total()) {
    fmt::format_to(std::back_inserter(out), "    [{} more left out]\n",
                   report.inputs_total() - static_cast<uint64_t>(shown));
  }
}

}  // namespace

std::string render_text(const Report& report) {
  std::string out = fmt::format("==evenkeel {}== {} batch {}: {}\n", report.run().pid(),
                                name_of(report.kind()), report.batch(), headline_of(report));
  if (report.waits_size() == 0) add_differences(out, report);
  add_interleavings(out, report);
  add_waits(out, report);
  add_replicas(out, report);
  add_inputs(out, report);
  fmt::format_to(std::back_inserter(out), "  When: {}, server {}\n",
                 time_text(report.realtime_ns()), report.run().name());
  fmt::format_to(std::back_inserter(out), "  Action: {}\n", fmt::join(report.actions(), "; "));
  fmt::format_to(std::back_inserter(out), "  Outcome: {}\n", report.outcome());
  fmt::format_to(std::back_inserter(out), "SUMMARY: evenkeel: {}\n==evenkeel {}== end\n",
                 summary_of(report), report.run().pid());
  return out;
}

}  // namespace evenkeel::host
