#pragma once
// A record as one self-contained page: no script, no other file.
#include <string>

#include "runtime/host/report.h"

namespace evenkeel::host {

// Lines of source are quoted if the files are on this machine.
[[nodiscard]] std::string render_html(const Report& report);

// The parts of it that are pictures.
[[nodiscard]] std::string difference_html(const record::Difference& difference);
[[nodiscard]] std::string timeline_html(const Report& report);

}  // namespace evenkeel::host
