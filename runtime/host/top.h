#pragma once
// evenkeel top: the counters of a running server, with what they gained in a second.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/host/state_dir.h"

namespace evenkeel::host {

// `before`: the status that was taken `seconds` earlier; null: there is none, and no rates.
[[nodiscard]] std::string top_text(const nlohmann::json& before, const nlohmann::json& now,
                                   double seconds);

// Until the run ends or the user interrupts; `once`: one screen, without clearing the terminal.
// Throws Refusal (1) when nothing runs.
void show_top(const StateDir& state, bool once);

}  // namespace evenkeel::host
