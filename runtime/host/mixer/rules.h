#pragma once
// A dialect that a rules file describes: rules.proto is its form.
// Threads: the coordinator's only one. Memory: the compiled patterns.
// Errors:  Refusal for a file that cannot be used, with line and column.
#include <filesystem>
#include <memory>
#include <string>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

// More: refused. One automaton looks for all patterns at once.
constexpr int kMaxRules = 1000;

// `name` is what messages call the text.
[[nodiscard]] std::unique_ptr<Dialect> rules_dialect(const std::string& text,
                                                     const std::string& name);
[[nodiscard]] std::unique_ptr<Dialect> read_rules(const std::filesystem::path& file);

}  // namespace evenkeel::host
