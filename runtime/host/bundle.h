#pragma once
// A bundle as `report export` makes it, for another machine with the same binaries: the state
// before the batch, which `replay` takes (state_file.h), and behind it the report (report_file.h).
// Errors: Refusal, which tells what is missing, truncated, damaged or foreign.
#include <filesystem>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

// Replaces `file` at once, or leaves it as it was. `state`: ID.bundle of the report.
void write_bundle(const std::filesystem::path& file, const record::Report& report,
                  const std::filesystem::path& state);

[[nodiscard]] record::Report read_bundled_report(const std::filesystem::path& file);

}  // namespace evenkeel::host
