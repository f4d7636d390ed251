#pragma once
// What was found, as a table for people and as JSON.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/zoo/runner.h"

namespace evenkeel::zoo {

struct PatternResult {
  const Pattern* pattern;
  NativeResult native;
  std::vector<ModeResult> modes;  // the recommended one among them
};

nlohmann::ordered_json json_of(const std::vector<PatternResult>& results);
std::string table_of(const std::vector<PatternResult>& results);

}  // namespace evenkeel::zoo
