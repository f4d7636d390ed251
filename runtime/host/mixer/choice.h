#pragma once
// From --mixer to what it means.
#include <memory>
#include <string>

#include "runtime/host/mixer/batch_mixer.h"
#include "runtime/host/options.h"

namespace evenkeel::host {

// `name`: a built-in dialect or a rules file. Throws Refusal.
[[nodiscard]] std::unique_ptr<Dialect> make_dialect(const std::string& name);

// Null: inputs are not mixed. Throws Refusal.
[[nodiscard]] std::unique_ptr<BatchMixer> make_mixer(const Options& options, Stats& stats);

}  // namespace evenkeel::host
