// The mixer's quality: what grouping annotated requests wins, and what its errors cost. The
// microbenchmark of Eve (Kapritsos et al., OSDI 2012), on examples/kvstore: requests of equal cost
// on a number of keys, which is the parallelism that there is; errors put into the mixer.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/mixer/plot.h"
#include "bench/mixer/run.h"

namespace evenkeel::bench {
namespace {

using nlohmann::json;

constexpr const char* kThreads = "threads";
constexpr const char* kKeys = "keys";
constexpr const char* kFalse = "false_conflicts";
constexpr const char* kMissed = "missed_conflicts";

struct Options {
  bool quick = false;
  bool json = false;
  std::string plots;
  uint64_t requests = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Throughput of the annotated kvstore: native, sequential under Evenkeel, and in parallel\n"
      "groups in independent order. A request's cost is real waiting.");
  app.add_flag("--quick", options.quick, "the points of the headline only, within a minute");
  app.add_flag("--json", options.json, "print JSON instead of the table");
  app.add_option("--plot", options.plots, "write SVG plots into this directory");
  app.add_option("--requests", options.requests, "run only the headline's mixed point, so long");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return options;
}

std::vector<Setting> quick_settings() {
  return {{.experiment = kThreads, .side = Side::kNative},
          {.experiment = kThreads, .side = Side::kSequential},
          {.experiment = kThreads, .side = Side::kMixed},
          {.experiment = kKeys, .side = Side::kSequential, .keys = 1},
          {.experiment = kKeys, .side = Side::kMixed, .keys = 1},
          {.experiment = kFalse, .false_conflicts = 100},
          {.experiment = kMissed, .keys = 64},
          {.experiment = kMissed, .keys = 64, .missed_conflicts = 1000}};
}

std::vector<Setting> all_settings() {
  std::vector<Setting> list;
  for (const Side side : {Side::kNative, Side::kSequential, Side::kMixed}) {
    for (const double cost_ms : {0.1, 1.0, 10.0}) {
      for (const unsigned threads : {1U, 2U, 4U, 8U, 16U}) {
        list.push_back({kThreads, side, cost_ms, 10000, threads});
      }
    }
    for (const unsigned keys : {1U, 4U, 16U, 64U, 1024U, 10000U}) {
      list.push_back({kKeys, side, 1, keys});
    }
  }
  for (const unsigned one_in : {10U, 100U, 1000U, 10000U}) {
    list.push_back({.experiment = kFalse, .false_conflicts = one_in});
    list.push_back({.experiment = kMissed, .keys = 64, .missed_conflicts = one_in});
  }
  list.push_back({.experiment = kMissed, .keys = 64});
  return list;
}

json to_json(const Point& point) {
  const Setting& s = point.setting;
  return {{"experiment", s.experiment},
          {"side", name_of(s.side)},
          {"request_ms", s.request_ms},
          {"keys", s.keys},
          {"threads", s.threads},
          {"false_conflicts", s.false_conflicts},
          {"missed_conflicts", s.missed_conflicts},
          {"requests", point.requests},
          {"requests_per_second", point.per_second},
          {"requests_per_batch", point.requests_per_batch},
          {"groups_per_batch", point.groups_per_batch},
          {"divergences", point.divergences},
          {"reexecutions", point.reexecutions},
          {"leaks", point.leaks}};
}

bool is_headline(const Setting& s, Side side) {
  return s.experiment == kThreads && s.side == side && s.threads == 16 && s.request_ms == 1;
}

json headline(const std::vector<Point>& points) {
  std::map<Side, const Point*> found;
  for (const Side side : {Side::kNative, Side::kSequential, Side::kMixed}) {
    for (const Point& point : points) {
      if (is_headline(point.setting, side)) found[side] = &point;
    }
  }
  const Point* mixed = found[Side::kMixed];
  if (mixed == nullptr) return {};
  const auto beside = [&](Side side) {
    return found[side] != nullptr ? json(mixed->per_second / found[side]->per_second) : json();
  };
  return {{"threads", 16},
          {"request_ms", 1},
          {"vs_sequential", beside(Side::kSequential)},
          {"vs_native", beside(Side::kNative)},
          {"divergences", mixed->divergences}};
}

double x_of(const Setting& s) {
  if (s.experiment == kThreads) return s.threads;
  if (s.experiment == kKeys) return s.keys;
  return s.experiment == kFalse ? s.false_conflicts : s.missed_conflicts;
}

void write_plots(const std::filesystem::path& directory, const std::vector<Point>& points) {
  std::filesystem::create_directories(directory);
  constexpr std::pair<const char*, const char*> kPlots[] = {
      {kThreads, "threads of the server"},
      {kKeys, "keys"},
      {kFalse, "false conflicts: one in"},
      {kMissed, "overlooked conflicts: one in"}};
  for (const auto& [experiment, x_title] : kPlots) {
    std::map<std::string, Line> lines;
    for (const Point& point : points) {
      const Setting& s = point.setting;
      if (s.experiment != experiment || x_of(s) == 0) continue;
      const std::string name = fmt::format("{}, {:g} ms", name_of(s.side), s.request_ms);
      lines[name].name = name;
      lines[name].points.emplace_back(x_of(s), point.per_second);
    }
    std::vector<Line> list;
    for (auto& [name, line] : lines) {
      std::sort(line.points.begin(), line.points.end());
      list.push_back(std::move(line));
    }
    if (!list.empty())
      plot(directory / fmt::format("{}.svg", experiment), experiment, x_title, list);
  }
}

void print_row(const Point& p) {
  const Setting& s = p.setting;
  fmt::print("{:<17}{:<11}{:>7g}{:>7}{:>8}{:>7}{:>7}{:>10.0f}{:>9.1f}{:>8.2f}{:>6}{:>7}\n",
             s.experiment, name_of(s.side), s.request_ms, s.keys, s.threads, s.false_conflicts,
             s.missed_conflicts, p.per_second, p.requests_per_batch, p.groups_per_batch,
             p.divergences, p.reexecutions);
  std::fflush(stdout);
}

void run(const Options& options) {
  Runner runner(options.quick ? 2.5 : 8);
  std::vector<Setting> settings = options.quick ? quick_settings() : all_settings();
  if (options.requests != 0) settings = {{.experiment = kThreads}};
  if (!options.json) {
    fmt::print("{:<17}{:<11}{:>7}{:>7}{:>8}{:>7}{:>7}{:>10}{:>9}{:>8}{:>6}{:>7}\n", "experiment",
               "side", "ms", "keys", "threads", "false", "missed", "req/s", "req/bat", "groups",
               "div", "reexec");
  }
  std::vector<Point> points;
  for (const Setting& setting : settings) {
    points.push_back(runner.run(setting, options.requests));
    if (!options.json) print_row(points.back());
  }
  json list = json::array();
  for (const Point& point : points) list.push_back(to_json(point));
  const json head = headline(points);
  if (options.json) {
    fmt::print("{}\n", json{{"headline", head}, {"points", list}}.dump(2));
  } else {
    fmt::print("headline {}\n", head.dump());
  }
  if (!options.plots.empty()) write_plots(options.plots, points);
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) {
  const auto options = evenkeel::bench::parse(argc, argv);
  try {
    evenkeel::bench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "evenkeel-bench-mixer: {}\n", error.what());
    return 1;
  }
  return 0;
}
