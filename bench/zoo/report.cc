#include "bench/zoo/report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

namespace evenkeel::zoo {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const ModeResult& result) {
  return {{"mode", result.mode},       {"runs", result.runs},         {"wrong", result.wrong},
          {"outages", result.outages}, {"detected", result.detected}, {"repaired", result.repaired},
          {"missed", result.missed}};
}

Json json_of(const PatternResult& result) {
  ModeResult none;
  none.mode = result.pattern->recommended;
  Json recommended = json_of(none);
  Json modes = Json::object();
  for (const ModeResult& mode : result.modes) {
    if (mode.mode == result.pattern->recommended) recommended = json_of(mode);
    Json row = json_of(mode);
    row.erase("mode");
    row["leaks"] = mode.leaks;
    row["why"] = mode.why;
    modes[mode.mode] = std::move(row);
  }
  return {{"name", result.pattern->name},
          {"kind", result.pattern->kind},
          {"modelled_on", result.pattern->modelled_on},
          {"native", {{"runs", result.native.runs}, {"manifested", result.native.manifested}}},
          {"recommended", std::move(recommended)},
          {"modes", std::move(modes)}};
}

}  // namespace

Json json_of(const std::vector<PatternResult>& results) {
  Json list = Json::array();
  for (const PatternResult& result : results) list.push_back(json_of(result));
  return {{"patterns", std::move(list)}};
}

std::string table_of(const std::vector<PatternResult>& results) {
  constexpr const char* kRow =
      "{:<16} {:<20} {:>9}  {:<17} {:>4} {:>7} {:>7} {:>8} {:>8} {:>5} {:>6}  {}\n";
  std::string out =
      fmt::format(fmt::runtime(kRow), "pattern", "kind", "native", "mode", "runs", "wrong",
                  "outages", "detected", "repaired", "leaks", "missed", "why");
  for (const PatternResult& result : results) {
    if (result.modes.empty()) {
      fmt::format_to(std::back_inserter(out), "{:<16} {:<20} {:>4}/{:<4}  {}\n",
                     result.pattern->name, result.pattern->kind, result.native.manifested,
                     result.native.runs, result.native.why);
    }
    std::string native = fmt::format("{}/{}", result.native.manifested, result.native.runs);
    std::string_view name = result.pattern->name;
    std::string_view kind = result.pattern->kind;
    for (const ModeResult& mode : result.modes) {
      const bool recommended = mode.mode == result.pattern->recommended;
      fmt::format_to(std::back_inserter(out), fmt::runtime(kRow), name, kind, native,
                     mode.mode + (recommended ? " *" : ""), mode.runs, mode.wrong, mode.outages,
                     mode.detected, mode.repaired, mode.leaks, mode.missed, mode.why);
      name = kind = "";
      native.clear();
    }
  }
  return out +
         "native: runs that showed the bug / runs. *: recommended. wrong: answers; outages, "
         "missed: runs in which a client saw one, saw the bug.\n";
}

}  // namespace evenkeel::zoo
