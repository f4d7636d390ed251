#include "runtime/host/mixer/choice.h"

#include <fmt/format.h>

#include <filesystem>

#include "runtime/host/mixer/rules.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {

std::unique_ptr<Dialect> make_dialect(const std::string& name) {
  std::unique_ptr<Dialect> dialect = built_in_dialect(name);
  if (dialect != nullptr) return dialect;
  std::error_code error;
  if (std::filesystem::exists(name, error)) return read_rules(name);
  throw Refusal(kExitUsage, fmt::format("no mixer '{}': no such file, no such dialect", name),
                fmt::format("dialects are {}", dialect_names()));
}

std::unique_ptr<BatchMixer> make_mixer(const Options& options, Stats& stats) {
  if (options.mixer.empty() || options.mixer == "none" || options.mixer == "group-all") {
    return nullptr;
  }
  return std::make_unique<BatchMixer>(make_dialect(options.mixer), options.order,
                                      options.mixer_lies, stats);
}

}  // namespace evenkeel::host
