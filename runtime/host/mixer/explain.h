#pragma once
// evenkeel mixer explain: what the mixer makes of given requests.
#include <cstdio>
#include <string>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

// Of the bytes of one connection: a line for each request, with its keys, and one for what is left.
[[nodiscard]] std::string explain(const Dialect& dialect, std::string_view bytes);
// Reads to the end of `input`, at most kMaxExplainedBytes; throws Refusal beyond.
constexpr size_t kMaxExplainedBytes = 64 << 20;
[[nodiscard]] std::string read_all(std::FILE* input);

}  // namespace evenkeel::host
