#pragma once
// What --report-bytes withholds: heap and input bytes can be secrets.
#include "runtime/host/report.pb.h"

namespace evenkeel::host {

// The record less the bytes that must not be kept:
//   FULL     nothing is taken away.
//   CHANGED  of memory and outputs the ranges that differ remain, and what was written to them; of
//            inputs kind and length.
//   NONE     no byte of memory, inputs or outputs; lengths and places only.
[[nodiscard]] record::Report withheld(record::Report report, record::ReportBytes bytes);

}  // namespace evenkeel::host
