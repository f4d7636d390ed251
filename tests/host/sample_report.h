#pragma once
// A record as a divergence leaves it; the bytes around the difference are "secret".
#include "runtime/host/report.pb.h"

namespace evenkeel::test {

[[nodiscard]] record::Report sample_report();

}  // namespace evenkeel::test
