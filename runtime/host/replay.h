#pragma once
// `evenkeel replay BUNDLE`, and what the coordinator runs beside the service: `evenkeel diagnose`.
#include "runtime/host/command_line.h"

namespace evenkeel::host {

int replay_command(const CommandLine& line);
// Hidden: a serialized record::Diagnosis on standard output.
int diagnose_command(const CommandLine& line);

}  // namespace evenkeel::host
