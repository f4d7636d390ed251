#pragma once
// Descriptors that the server was started with, beyond the standard three: part of its state, since
// the runtime makes an object of each.
// Threads: one. Memory: none. Errors: std::system_error.
#include <nlohmann/json.hpp>

namespace evenkeel::host {

// Those of this process that exec() keeps: [{"fd", "path"}].
[[nodiscard]] nlohmann::json list_inherited();
// This process has the same from now on, with nothing behind them that is not a file.
void imitate_inherited(const nlohmann::json& list);
// Closes what exec() would close.
void close_private_descriptors();

}  // namespace evenkeel::host
