#include "bench/zoo/options.h"

#include <CLI/CLI.hpp>

#include "bench/zoo/patterns.h"

namespace evenkeel::zoo {
namespace {

constexpr const char* kDescription =
    "Run the servers of examples/zoo, each with one bug, natively and under Evenkeel, with "
    "clients\n"
    "that check every answer: how often did the bug show, and did a client see it?";

template <typename Row>
std::vector<std::string> names(std::span<const Row> rows) {
  std::vector<std::string> list;
  for (const Row& row : rows) list.emplace_back(row.name);
  return list;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  uint64_t deadline_s = 5;
  uint64_t kill_after_s = 10;
  CLI::App app(kDescription);
  app.add_option("--times", options.times, "runs natively, and in each mode (default 10)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100000}));
  app.add_option("--manifestations", options.manifestations,
                 "natively, go on until so many runs have shown the bug (default 10)");
  app.add_option("--max-runs", options.max_runs,
                 "natively, at most so many runs a pattern (default 100)");
  app.add_option("--pattern", options.pattern, "one pattern instead of all")
      ->check(CLI::IsMember(names(patterns())));
  app.add_option("--mode", options.modes,
                 "a mode of Evenkeel, as often as wanted, instead of all; the recommended one is "
                 "always run")
      ->allow_extra_args(false)
      ->check(CLI::IsMember(names(modes())));
  app.add_flag("--native-only", options.native_only, "run in no mode of Evenkeel at all");
  app.add_option("--reports", options.reports,
                 "state directory that is kept: only runs under Evenkeel, each server ended when "
                 "its reports are diagnosed");
  app.add_flag("--json", options.json, "print JSON instead of the table");
  app.add_option("--deadline", deadline_s,
                 "seconds without an answer after which a server counts as down (default 5)");
  app.add_option("--kill-after", kill_after_s,
                 "seconds of load after which a run is over and its server is ended (default 10)");
  app.add_option("run_options", options.run_options,
                 "after --: options for `evenkeel run`, in every mode");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  options.deadline = std::chrono::seconds(deadline_s);
  options.kill_after = std::chrono::seconds(kill_after_s);
  return options;
}

}  // namespace evenkeel::zoo
