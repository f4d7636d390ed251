#pragma once
// From --mixer to what it means.
#include <memory>
#include <string>

#include "runtime/host/mixer/batch_mixer.h"
#include "runtime/host/mixer/conflicts.h"
#include "runtime/host/options.h"

namespace evenkeel::host {

// `name`: a built-in dialect, a rules file, or a file of what --mixer learn has learnt. Throws
// Refusal.
[[nodiscard]] std::unique_ptr<Dialect> make_dialect(const std::string& name);

// Null: inputs are not mixed. `learnt`, for --mixer learn, outlives it. Throws Refusal.
[[nodiscard]] std::unique_ptr<BatchMixer> make_mixer(const Options& options,
                                                     const Conflicts& learnt, Stats& stats);

}  // namespace evenkeel::host
