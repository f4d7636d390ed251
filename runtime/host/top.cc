#include "runtime/host/top.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/host/report_list.h"
#include "runtime/host/status.h"

namespace evenkeel::host {
namespace {

using nlohmann::json;

constexpr size_t kMaxRows = 10;
constexpr char kHomeAndClear[] = "\x1b[H\x1b[J";

constexpr const char* kShown[] = {"batches",   "requests",     "divergences", "faults",
                                  "rollbacks", "reexecutions", "suspects",    "leaks",
                                  "rejoins",   "dirty_pages"};

uint64_t number(const json& status, const char* key) { return status.value(key, uint64_t{0}); }

std::string reports_text(const StateDir& state) {
  std::string out = "\n";
  const std::vector<ReportRow> rows = list_reports(state.reports()).rows;
  size_t shown = 0;
  for (auto row = rows.rbegin(); row != rows.rend() && shown < kMaxRows; ++row, ++shown) {
    fmt::format_to(std::back_inserter(out), "{:<16} {} {:>6} x  {}\n",
                   row->id.empty() ? row->signature : row->id, time_text(row->last_ns), row->count,
                   row->summary);
  }
  return out;
}

}  // namespace

std::string top_text(const json& before, const json& now, double seconds) {
  std::string out = fmt::format(
      "{}  pid {}  {} of {} replicas, primary {}\n\n", now.value("name", ""), number(now, "pid"),
      number(now, "replicas_live"), number(now, "replicas"), number(now, "primary"));
  for (const char* key : kShown) {
    const uint64_t value = number(now, key);
    fmt::format_to(std::back_inserter(out), "{:<14}{:>14}", key, value);
    if (!before.is_null() && seconds > 0) {
      const uint64_t old = number(before, key);
      const auto gained = static_cast<double>(value - std::min(old, value));
      fmt::format_to(std::back_inserter(out), "{:>12.1f}/s", gained / seconds);
    }
    out += '\n';
  }
  return out;
}

void show_top(const StateDir& state, bool once) {
  using Clock = std::chrono::steady_clock;
  json before;
  auto before_at = Clock::now();
  for (;;) {
    const json now = query_status(state);
    const auto at = Clock::now();
    const double seconds = std::chrono::duration<double>(at - before_at).count();
    fmt::print("{}{}{}", once ? "" : kHomeAndClear, top_text(before, now, seconds),
               reports_text(state));
    std::fflush(stdout);
    if (once) return;
    before = now;
    before_at = at;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace evenkeel::host
