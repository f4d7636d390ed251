// A record as JSON, for programs: the same words as in the text, numbers as numbers.
#include <nlohmann/json.hpp>

#include "runtime/host/operations.h"
#include "runtime/host/report.h"
#include "runtime/host/source_lines.h"
#include "runtime/host/waits.h"

namespace evenkeel::host {
namespace {

using nlohmann::json;

json to_json(const record::Location& l) {
  return {
      {"function", l.function()}, {"file", l.file()}, {"line", l.line()}, {"column", l.column()}};
}

json to_json(const record::Frame& f) {
  json out = {{"address", f.address()},   {"module", f.module()},
              {"build_id", f.build_id()}, {"module_offset", f.module_offset()},
              {"text", frame_text(f)},    {"locations", json::array()}};
  for (const record::Location& l : f.locations()) out["locations"].push_back(to_json(l));
  if (!f.symbol().empty()) {
    out["symbol"] = f.symbol();
    out["symbol_offset"] = f.symbol_offset();
  }
  return out;
}

json to_json(const record::Stack& stack) {
  json out = json::array();
  for (const record::Frame& f : stack.frames()) out.push_back(to_json(f));
  return out;
}

json to_json(const record::Difference& d) {
  json sides = json::array();
  for (const record::Value& value : d.values()) {
    sides.push_back({{"replicas", value.replicas()}, {"value", value_text(d, value)}});
  }
  return {{"place", place_of(d.object())},
          {"symbol", d.object().symbol()},
          {"page", d.page()},
          {"begin", d.begin()},
          {"end", d.end()},
          {"withheld", d.withheld()},
          {"allocation", to_json(d.object().allocation())},
          {"sides", sides}};
}

json to_json(const record::Interleaving& i) {
  return {{"lock", i.lock()},
          {"input", i.input()},
          {"other", i.other()},
          {"before", code_text(i.before())},
          {"between", code_text(i.between())},
          {"after", code_text(i.after())}};
}

json to_json(const record::Replica& r) {
  return {{"replica", r.index()},           {"status", r.status()}, {"token", r.token()},
          {"dirty_pages", r.dirty_pages()}, {"root", r.root()},     {"outputs", r.outputs()}};
}

json to_json(const record::Input& i) {
  return {{"index", i.index()},
          {"kind", i.kind()},
          {"channel", i.channel()},
          {"bytes", i.bytes()},
          {"preview", preview_of(i)}};
}

json to_json(const record::Module& m) {
  return {{"path", m.path()}, {"build_id", m.build_id()}, {"begin", m.begin()}, {"end", m.end()}};
}

json to_json(const record::Operation& o) {
  return {{"index", o.index()}, {"operation", operation_text(o.tag())}, {"version", o.version()}};
}

json to_json(const record::Thread& t);

template <typename List>
json to_list(const List& list) {
  json out = json::array();
  for (const auto& entry : list) out.push_back(to_json(entry));
  return out;
}

json to_json(const record::Thread& t) {
  return {{"thread", t.id()},
          {"state", t.state()},
          {"replica", t.replica()},
          {"stack", to_json(t.stack())},
          {"operations", to_list(t.operations())},
          {"operations_total", t.operations_total()}};
}

json to_json(const record::Write& w) {
  return {{"thread", w.thread()},        {"order", w.order()},
          {"address", w.address()},      {"read", w.read()},
          {"execution", w.execution()},  {"sequential", w.sequential()},
          {"channel", w.channel()},      {"code", to_json(w.code())},
          {"stack", to_json(w.stack())}, {"text", value_change_text(w)}};
}

json to_json(const record::Diagnosis& d) {
  json out = {{"repeated", d.repeated_race()},
              {"executions", d.executions()},
              {"note", d.note()},
              {"writes", json::array()},
              {"writes_left_out", d.writes_left_out()},
              {"bundle", d.bundle()},
              {"duration_ns", d.duration_ns()}};
  for (const record::Write& w : d.writes()) out["writes"].push_back(to_json(w));
  if (d.has_first_site()) out["first_site"] = to_json(d.first_site());
  if (d.has_second_site()) out["second_site"] = to_json(d.second_site());
  if (d.has_raced_object()) {
    out["raced_object"] = {{"place", place_of(d.raced_object())},
                           {"symbol", d.raced_object().symbol()},
                           {"offset", d.raced_offset()}};
  }
  return out;
}

json to_json(const record::Timings& t) {
  return {{"evidence_ns", t.evidence_ns()}, {"repair_ns", t.repair_ns()}};
}

}  // namespace

json render_json(const Report& report) {
  return {{"id", report.id()},
          {"signature", report.signature()},
          {"occurrence", report.occurrence()},
          {"kind", name_of(report.kind())},
          {"server", report.run().name()},
          {"pid", report.run().pid()},
          {"batch", report.batch()},
          {"time", time_text(report.realtime_ns())},
          {"primary", report.primary()},
          {"forced", report.forced()},
          {"modules", to_list(report.modules())},
          {"replicas", to_list(report.replicas())},
          {"differences", to_list(report.differences())},
          {"differing_pages", report.differing_pages()},
          {"pages_truncated", report.pages_truncated()},
          {"differences_left_out", report.differences_left_out()},
          {"outputs", to_list(report.outputs())},
          {"waits", waits_json(report.waits())},
          {"waits_truncated", report.waits_truncated()},
          {"interleavings", to_list(report.interleavings())},
          {"interleavings_total", report.interleavings_total()},
          {"threads", to_list(report.threads())},
          {"diagnosis", report.has_diagnosis() ? to_json(report.diagnosis()) : json(nullptr)},
          {"timings", to_json(report.timings())},
          {"inputs", to_list(report.inputs())},
          {"inputs_total", report.inputs_total()},
          {"actions", report.actions()},
          {"outcome", report.outcome()},
          {"summary", summary_of(report)}};
}

}  // namespace evenkeel::host
