// A record for the terminal. The order is fixed: fact, evidence, what was done, how to repeat, one
// summary to search for.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "runtime/host/operations.h"
#include "runtime/host/report.h"
#include "runtime/host/source_lines.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {
namespace {

constexpr int kMaxShownInputs = 64;
constexpr int kMaxTextThreads = 8;     // of the last ordered operations
constexpr int kMaxTextOperations = 6;  // of one thread
constexpr int kMaxTextWrites = 16;

// One line for each function, inlined ones too.
void add_stack(std::string& out, const record::Stack& stack) {
  int number = 0;
  for (const record::Frame& frame : stack.frames()) {
    if (frame.locations_size() == 0) {
      fmt::format_to(std::back_inserter(out), "      #{} {}\n", number++, frame_text(frame));
    }
    for (int i = 0; i < frame.locations_size(); ++i) {
      const bool inlined = i + 1 < frame.locations_size();
      fmt::format_to(std::back_inserter(out), "      #{} {}{}\n", number++,
                     frame_text(frame, frame.locations(i)), inlined ? "  [inlined]" : "");
    }
  }
  if (stack.truncated()) out += "      [more frames left out]\n";
}

void add_allocation(std::string& out, const record::Object& object) {
  if (object.allocation().frames_size() == 0) return;
  fmt::format_to(std::back_inserter(out), "    Allocated by T{}:\n", object.lane());
  add_stack(out, object.allocation());
}

void add_diagnosis(std::string& out, const Report& report) {
  if (!report.has_diagnosis()) return;
  const record::Diagnosis& diagnosis = report.diagnosis();
  if (diagnosis.has_first_site() && diagnosis.has_second_site()) {
    fmt::format_to(std::back_inserter(out), "  Raced: {}\n    with {}\n",
                   frame_text(diagnosis.first_site()), frame_text(diagnosis.second_site()));
    if (diagnosis.has_raced_object()) {
      fmt::format_to(std::back_inserter(out), "    for {}, at byte {}\n",
                     place_of(diagnosis.raced_object()), diagnosis.raced_offset());
    }
  }
  fmt::format_to(
      std::back_inserter(out), "  Diagnosis: {} in {} execution{}{}{}\n",
      diagnosis.repeated_race() ? "the race struck again" : "the race did not strike again",
      diagnosis.executions(), diagnosis.executions() == 1 ? "" : "s",
      diagnosis.note().empty() ? "" : "; ", diagnosis.note());
  const int shown = std::min(diagnosis.writes_size(), kMaxTextWrites);
  for (int i = 0; i < shown; ++i) {
    const record::Write& write = diagnosis.writes(i);
    fmt::format_to(std::back_inserter(out), "    {:>5}  T{} {} {:#x}{}\n", write.order(),
                   write.thread(), write.read() ? "read" : "wrote", write.address(),
                   value_change_text(write));
    add_stack(out, write.stack());
  }
  const uint64_t left_out =
      diagnosis.writes_left_out() + static_cast<uint64_t>(diagnosis.writes_size() - shown);
  if (left_out != 0) {
    fmt::format_to(std::back_inserter(out), "    [{} more writes left out]\n", left_out);
  }
}

void add_threads(std::string& out, const Report& report) {
  for (const record::Thread& thread : report.threads()) {
    if (thread.stack().frames_size() == 0) continue;
    fmt::format_to(std::back_inserter(out), "  Thread T{} of replica {} {}:\n", thread.id(),
                   thread.replica(), thread.state().empty() ? "was at" : thread.state() + " at");
    add_stack(out, thread.stack());
  }
}

void add_operations(std::string& out, const Report& report) {
  int threads = 0;
  int left_out = 0;
  for (const record::Thread& thread : report.threads()) {
    if (thread.operations_size() == 0) continue;
    if (threads++ == 0) out += "  Last ordered operations of the primary's threads:\n";
    if (threads > kMaxTextThreads) {
      ++left_out;
      continue;
    }
    const int first = std::max(0, thread.operations_size() - kMaxTextOperations);
    fmt::format_to(std::back_inserter(out), "    T{:<4}", thread.id());
    for (int i = first; i < thread.operations_size(); ++i) {
      const record::Operation& operation = thread.operations(i);
      fmt::format_to(std::back_inserter(out), "{} {} {} v{}", i == first ? "" : ",",
                     operation.index(), operation_text(operation.tag()), operation.version());
    }
    out += '\n';
  }
  if (left_out != 0) {
    fmt::format_to(std::back_inserter(out), "    [{} more threads left out]\n", left_out);
  }
}

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
    add_allocation(out, d.object());
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
                   frame_text(i.before()), frame_text(i.between()), frame_text(i.after()));
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
  add_diagnosis(out, report);
  add_operations(out, report);
  add_threads(out, report);
  add_replicas(out, report);
  add_inputs(out, report);
  fmt::format_to(std::back_inserter(out), "  When: {}, server {}\n",
                 time_text(report.realtime_ns()), report.run().name());
  if (report.occurrence() != 0) {
    fmt::format_to(std::back_inserter(out), "  Signature: {}, number {} of its kind\n",
                   report.signature(), report.occurrence());
  }
  fmt::format_to(std::back_inserter(out), "  Action: {}\n", fmt::join(report.actions(), "; "));
  fmt::format_to(std::back_inserter(out), "  Outcome: {}\n", report.outcome());
  if (!report.diagnosis().bundle().empty()) {
    fmt::format_to(
        std::back_inserter(out),
        "  Repeat: evenkeel report export {0} -o {0}.bundle; evenkeel replay {0}.bundle\n",
        report.id());
  }
  fmt::format_to(std::back_inserter(out), "SUMMARY: evenkeel: {}\n==evenkeel {}== end\n",
                 summary_of(report), report.run().pid());
  return out;
}

}  // namespace evenkeel::host
