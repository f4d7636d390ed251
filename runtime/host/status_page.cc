#include "runtime/host/status_page.h"

#include <fmt/format.h>

#include <iterator>

#include "runtime/host/html.h"

namespace evenkeel::host {
namespace {

constexpr size_t kMaxRows = 100;
constexpr int kRefreshS = 2;

template <typename... Args>
void put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

void add_tile(std::string& out, const char* id, const char* name, uint64_t value) {
  put(out, "<div class=\"tile\"><b id=\"{}\">{}</b><span>{}</span></div>\n", id, value, name);
}

void add_counters(std::string& out, const Stats& stats) {
  out += "<div class=\"tiles\">\n";
  add_tile(out, "batches", "batches", stats.batches);
  add_tile(out, "requests", "requests", stats.requests);
  add_tile(out, "divergences", "divergences", stats.divergences);
  add_tile(out, "faults", "faults", stats.faults);
  add_tile(out, "rollbacks", "rollbacks", stats.rollbacks);
  add_tile(out, "suspects", "suspected batches", stats.suspects);
  add_tile(out, "rejoins", "replicas replaced", stats.rejoins);
  add_tile(out, "leaks", "leaks", stats.leaks);
  out += "</div>\n";
}

void add_replicas(std::string& out, const Metrics& metrics) {
  out +=
      "<h2>Processes</h2><div class=\"card\"><table><tr><th>process</th><th>state</th>"
      "<th class=\"n\">resident</th></tr>\n";
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  put(out, "<tr><td>coordinator</td><td>live</td><td class=\"n\">{:.1f} MiB</td></tr>\n",
      mib(metrics.coordinator_bytes));
  for (const ReplicaMetrics& r : metrics.replicas) {
    put(out, "<tr><td>replica {}</td><td>{}{}</td><td class=\"n\">{:.1f} MiB</td></tr>\n", r.index,
        r.live ? "live" : "lost", r.live && r.primary ? ", primary" : "", mib(r.resident_bytes));
  }
  out += "</table></div>\n";
}

void add_reports(std::string& out, const std::vector<ReportRow>& rows, const std::string& run) {
  if (rows.empty()) {
    out += "<p class=\"dim\">None.</p>\n";
    return;
  }
  out +=
      "<div class=\"card\"><table><tr><th>kind</th><th>what</th><th class=\"n\">count</th>"
      "<th>last seen</th><th>report</th></tr>\n";
  size_t shown = 0;
  for (auto row = rows.rbegin(); row != rows.rend() && shown < kMaxRows; ++row, ++shown) {
    put(out,
        "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"mono\">{}</td>"
        "</tr>\n",
        name_of(row->kind), escaped(row->summary), row->count, time_text(row->last_ns),
        escaped(row->id.empty() ? row->signature : row->id));
  }
  put(out,
      "</table></div>\n<p class=\"dim\">Each in full: <code>evenkeel report show --name {} "
      "REPORT</code></p>\n",
      escaped(run));
}

}  // namespace

std::string status_page(const Metrics& metrics, const std::vector<ReportRow>& reports,
                        const std::string& trouble) {
  std::string body;
  put(body, "<h1>{}</h1><p class=\"dim\">Evenkeel {}, refreshed every {} s</p>\n",
      escaped(metrics.name), escaped(metrics.version), kRefreshS);
  add_counters(body, metrics.stats);
  add_replicas(body, metrics);
  body += "<h2>Reports</h2>\n";
  if (!trouble.empty()) put(body, "<p>{}</p>\n", escaped(trouble));
  if (trouble.empty()) add_reports(body, reports, metrics.name);
  const std::string head = fmt::format("<meta http-equiv=\"refresh\" content=\"{}\">", kRefreshS);
  return page_of(fmt::format("{} - Evenkeel", metrics.name), head, body);
}

}  // namespace evenkeel::host
