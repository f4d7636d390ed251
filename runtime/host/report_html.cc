#include "runtime/host/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "runtime/host/html.h"
#include "runtime/host/source_lines.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {
namespace {

constexpr int kMaxHtmlInputs = 256;
constexpr uint32_t kSourceLines = 2;  // before and behind the one that is meant

template <typename... Args>
void put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string milliseconds(uint64_t ns) {
  return fmt::format("{:.2f} ms", static_cast<double>(ns) / 1e6);
}

// The line with its neighbours; empty: the file is not here.
std::string source_html(const record::Location& location) {
  std::ifstream file(location.file());
  std::string out;
  std::string line;
  for (uint32_t number = 1; location.line() != 0 && std::getline(file, line); ++number) {
    if (number + kSourceLines < location.line()) continue;
    if (number > location.line() + kSourceLines) break;
    const std::string text = fmt::format("{:>6}  {}", number, escaped(line));
    out += number == location.line() ? fmt::format("<span class=\"here\">{}</span>", text)
                                     : text + "\n";
  }
  return out.empty() ? "" : fmt::format("<pre>{}</pre>", out);
}

std::string frame_html(const record::Frame& frame) {
  if (frame.locations_size() == 0) {
    return fmt::format("<div class=\"frame\"><code>{}</code></div>", escaped(frame_text(frame)));
  }
  std::string out;
  for (int i = 0; i < frame.locations_size(); ++i) {
    const record::Location& location = frame.locations(i);
    const bool inlined = i + 1 < frame.locations_size();
    put(out, "<div class=\"frame\"><code>{}</code>{}{}</div>", escaped(frame_text(frame, location)),
        inlined ? " <span class=\"dim\">inlined</span>" : "", source_html(location));
  }
  return out;
}

void add_stack(std::string& out, const record::Stack& stack) {
  for (const record::Frame& frame : stack.frames()) out += frame_html(frame);
  if (stack.truncated()) out += "<p class=\"dim\">more frames left out</p>";
}

void add_head(std::string& out, const Report& report) {
  put(out, "<span class=\"badge\">{}</span>\n<h1>{}</h1>\n<p class=\"dim\">{}</p>\n",
      name_of(report.kind()), escaped(headline_of(report)), escaped(summary_of(report)));
  put(out, "<div class=\"card\"><dl>");
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) put(out, "<dt>{}</dt><dd>{}</dd>", name, escaped(value));
  };
  row("Report", report.id());
  row("Server", fmt::format("{} ({}), pid {}", report.run().name(), report.run().server(),
                            report.run().pid()));
  row("When", fmt::format("{}, batch {}", time_text(report.realtime_ns()), report.batch()));
  row("Mode", fmt::format("{} replicas, {} order, {} follower", report.run().replicas(),
                          report.run().order(), report.run().follower()));
  std::string actions;
  for (const std::string& action : report.actions()) {
    actions += (actions.empty() ? "" : "; ") + action;
  }
  row("Action", actions);
  row("Outcome", report.outcome());
  row("Took", fmt::format("evidence {}, repair {}", milliseconds(report.timings().evidence_ns()),
                          milliseconds(report.timings().repair_ns())));
  row("Signature",
      fmt::format("{}, number {} of its kind", report.signature(), report.occurrence()));
  out += "</dl></div>\n";
}

void add_diagnosis(std::string& out, const Report& report) {
  if (!report.has_diagnosis()) return;
  const record::Diagnosis& d = report.diagnosis();
  out += "<h2>The code that raced</h2>\n";
  put(out, "<p>{} in {} executions. {}</p>",
      d.repeated_race() ? "The race struck again" : "The race did not strike again", d.executions(),
      escaped(d.note()));
  for (const record::Frame* site : {&d.first_site(), &d.second_site()}) {
    if (site->address() != 0) put(out, "<div class=\"card\">{}</div>", frame_html(*site));
  }
  for (const record::Write& w : d.writes()) {
    put(out, "<div class=\"card\"><h3>T{} {} <code>{:#x}</code><code>{}</code></h3>", w.thread(),
        w.read() ? "read" : "wrote", w.address(), escaped(value_change_text(w)));
    add_stack(out, w.stack());
    out += "</div>\n";
  }
}

void add_differences(std::string& out, const Report& report) {
  if (report.differences_size() + report.outputs_size() != 0) out += "<h2>What differs</h2>\n";
  for (const record::Difference& d : report.differences()) {
    out += difference_html(d);
    if (d.object().allocation().frames_size() == 0) continue;
    put(out, "<div class=\"card\"><h3>Allocated by T{}</h3>", d.object().lane());
    add_stack(out, d.object().allocation());
    out += "</div>\n";
  }
  for (const record::Difference& d : report.outputs()) out += difference_html(d);
  if (report.differences_left_out() != 0) {
    put(out, "<p class=\"dim\">{} more differences left out; {} pages differ</p>\n",
        report.differences_left_out(), report.differing_pages());
  }
}

void add_waits(std::string& out, const Report& report) {
  if (report.waits_size() == 0) return;
  out += "<h2>Who waits for what</h2><div class=\"card\">";
  for (const record::Wait& wait : report.waits()) put(out, "<p>{}</p>", escaped(wait_text(wait)));
  out += "</div>\n";
}

void add_interleavings(std::string& out, const Report& report) {
  if (report.interleavings_size() == 0) return;
  out += "<h2>Interleavings</h2>\n";
  for (const record::Interleaving& i : report.interleavings()) {
    put(out, "<div class=\"card\"><h3>Lock <code>{:#x}</code></h3>", i.lock());
    put(out, "<p class=\"dim\">channel {} acquired it</p>{}", i.input(), frame_html(i.before()));
    put(out, "<p class=\"dim\">then channel {}</p>{}", i.other(), frame_html(i.between()));
    put(out, "<p class=\"dim\">then channel {} again</p>{}</div>\n", i.input(),
        frame_html(i.after()));
  }
}

void add_threads(std::string& out, const Report& report) {
  bool first = true;
  for (const record::Thread& thread : report.threads()) {
    if (thread.stack().frames_size() == 0) continue;
    if (first) out += "<h2>Threads</h2>\n";
    first = false;
    put(out, "<div class=\"card\"><h3>T{} of replica {} {}</h3>", thread.id(), thread.replica(),
        escaped(thread.state()));
    add_stack(out, thread.stack());
    out += "</div>\n";
  }
}

void add_inputs(std::string& out, const Report& report) {
  put(out, "<h2>Inputs of the batch: {}</h2>\n", report.inputs_total());
  if (report.inputs_size() == 0) return;
  out +=
      "<div class=\"card\"><table><tr><th class=\"n\">#</th><th>kind</th>"
      "<th class=\"n\">channel</th><th class=\"n\">bytes</th><th>begins with</th></tr>\n";
  const int shown = std::min(report.inputs_size(), kMaxHtmlInputs);
  for (int k = 0; k < shown; ++k) {
    const record::Input& i = report.inputs(k);
    put(out,
        "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"mono\">{}</td></tr>\n",
        i.index(), escaped(i.kind()), i.channel(), i.bytes(), escaped(preview_of(i)));
  }
  out += "</table></div>\n";
  if (const uint64_t left = report.inputs_total() - static_cast<uint64_t>(shown); left != 0) {
    put(out, "<p class=\"dim\">{} more left out</p>\n", left);
  }
}

void add_replicas(std::string& out, const Report& report) {
  out +=
      "<h2>Replicas</h2><div class=\"card\"><table><tr><th>replica</th><th>state</th>"
      "<th class=\"n\">pages changed</th><th>Merkle root</th><th>token</th></tr>\n";
  for (const record::Replica& r : report.replicas()) {
    put(out,
        "<tr><td>{}{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"mono\">{}</td>"
        "<td class=\"mono\">{}</td></tr>\n",
        r.index(), r.index() == report.primary() ? " primary" : "", escaped(r.status()),
        r.dirty_pages(), escaped(r.root()), escaped(r.token()));
  }
  out += "</table></div>\n";
  if (report.tree().leaves_size() == 0) return;
  put(out,
      "<h3>Leaves of the tree that differ: {}</h3><div class=\"card\"><table>"
      "<tr><th>page</th><th>hashes</th></tr>\n",
      report.tree().leaves_total());
  for (const record::MerkleTree::Leaf& leaf : report.tree().leaves()) {
    put(out, "<tr><td class=\"mono\">{:#x}</td><td class=\"mono\">", leaf.page());
    for (const auto& digest : leaf.digests()) {
      put(out, "{}: {}<br>", digest.replica(), escaped(digest.hash()));
    }
    out += "</td></tr>\n";
  }
  out += "</table></div>\n";
}

void add_modules(std::string& out, const Report& report) {
  if (report.modules_size() == 0) return;
  out += "<h2>Binaries</h2><div class=\"card\"><table><tr><th>file</th><th>build id</th></tr>\n";
  for (const record::Module& m : report.modules()) {
    put(out, "<tr><td class=\"mono\">{}</td><td class=\"mono\">{}</td></tr>\n", escaped(m.path()),
        escaped(m.build_id()));
  }
  out += "</table></div>\n";
}

}  // namespace

std::string render_html(const Report& report) {
  std::string body;
  add_head(body, report);
  add_diagnosis(body, report);
  add_differences(body, report);
  add_waits(body, report);
  add_interleavings(body, report);
  body += timeline_html(report);
  add_threads(body, report);
  add_inputs(body, report);
  add_replicas(body, report);
  add_modules(body, report);
  put(body, "<footer>Evenkeel {}</footer>\n", escaped(report.run().version()));
  return page_of(fmt::format("{} {}", name_of(report.kind()), report.id()), "", body);
}

}  // namespace evenkeel::host
