#include "runtime/host/mixer/choice.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "runtime/host/mixer/learnt_dialect.h"
#include "runtime/host/mixer/learnt_file.h"
#include "runtime/host/mixer/rules.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {

std::unique_ptr<Dialect> make_dialect(const std::string& name) {
  std::unique_ptr<Dialect> dialect = built_in_dialect(name);
  if (dialect != nullptr) return dialect;
  std::error_code error;
  if (std::filesystem::exists(name, error)) {
    const bool learnt = std::filesystem::path(name).extension() == kLearntExtension;
    return learnt ? learnt_dialect(name) : read_rules(name);
  }
  throw Refusal(kExitUsage, fmt::format("no mixer '{}': no such file, no such dialect", name),
                fmt::format("dialects are {}", dialect_names()));
}

std::unique_ptr<BatchMixer> make_mixer(const Options& options, const Conflicts& learnt,
                                       Stats& stats) {
  if (options.mixer.empty() || options.mixer == "none" || options.mixer == "group-all") {
    return nullptr;
  }
  auto dialect = options.mixer == kLearnName ? learnt_dialect(learnt) : make_dialect(options.mixer);
  return std::make_unique<BatchMixer>(std::move(dialect), options.order, options.mixer_lies, stats);
}

}  // namespace evenkeel::host
