#pragma once
// Lines, whose footprints are what was learnt: a request that nothing was learnt of conflicts with
// nothing.
#include <memory>

#include "runtime/host/mixer/conflicts.h"
#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

// `conflicts` outlives it, and may change.
[[nodiscard]] std::unique_ptr<Dialect> learnt_dialect(const Conflicts& conflicts);
// Of a file that does not change, for `mixer explain`. Throws Refusal.
[[nodiscard]] std::unique_ptr<Dialect> learnt_dialect(const std::string& file);

}  // namespace evenkeel::host
