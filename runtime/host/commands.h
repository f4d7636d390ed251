#pragma once
// The subcommands. Each returns the exit status, or throws Refusal.
#include "runtime/host/command_line.h"

namespace evenkeel::host {

[[nodiscard]] int run_command(const CommandLine& line);
[[nodiscard]] int status_command(const CommandLine& line);
[[nodiscard]] int top_command(const CommandLine& line);
[[nodiscard]] int report_command(const CommandLine& line);
[[nodiscard]] int mixer_command(const CommandLine& line);
[[nodiscard]] int doctor_command();
[[nodiscard]] int completion_command(const CommandLine& line);
[[nodiscard]] int man_command();

}  // namespace evenkeel::host
