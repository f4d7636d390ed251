// evenkeel-zoo: servers with published bugs, natively and under Evenkeel, in one table.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "bench/zoo/report.h"

namespace {

using namespace evenkeel::zoo;

bool is_wanted(const Options& options, const Pattern& pattern, const Mode& mode) {
  if (options.native_only) return false;
  if (options.modes.empty() || mode.name == std::string_view(pattern.recommended)) return true;
  return std::find(options.modes.begin(), options.modes.end(), mode.name) != options.modes.end();
}

PatternResult run(Runner& runner, const Options& options, const Pattern& pattern) {
  std::fprintf(stderr, "%s: natively\n", pattern.name);
  PatternResult result{&pattern, runner.run_natively(pattern), {}};
  for (const Mode& mode : modes()) {
    if (!is_wanted(options, pattern, mode)) continue;
    std::fprintf(stderr, "%s: %s\n", pattern.name, mode.name);
    result.modes.push_back(runner.run_under(mode, pattern));
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  try {
    Runner runner(options);
    std::vector<PatternResult> results;
    for (const Pattern& pattern : patterns()) {
      if (!options.pattern.empty() && options.pattern != pattern.name) continue;
      results.push_back(run(runner, options, pattern));
    }
    const std::string text = options.json ? json_of(results).dump(2) + "\n" : table_of(results);
    std::fputs(text.c_str(), stdout);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "evenkeel-zoo: %s\n", error.what());
    return 1;
  }
  return 0;
}
