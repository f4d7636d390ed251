#include "runtime/host/privacy.h"

#include <algorithm>
#include <string>

namespace evenkeel::host {
namespace {

void withhold_values(record::Difference& difference) {
  difference.set_withheld(true);
  for (record::Value& value : *difference.mutable_values()) value.clear_data();
}

// Only bytes [begin, end) stay.
void withhold_surroundings(record::Difference& difference) {
  const uint64_t before =
      difference.begin() - std::min(difference.shown_begin(), difference.begin());
  const uint64_t length = difference.end() - difference.begin();
  for (record::Value& value : *difference.mutable_values()) {
    const size_t from = std::min<size_t>(value.data().size(), before);
    value.set_data(value.data().substr(from, length));
  }
  difference.set_shown_begin(difference.begin());
  difference.set_shown_end(std::min(difference.shown_end(), difference.end()));
}

}  // namespace

record::Report withheld(record::Report report, record::ReportBytes bytes) {
  report.set_bytes(bytes);
  if (bytes == record::FULL) return report;
  for (record::Input& input : *report.mutable_inputs()) {
    input.set_withheld(!input.payload().empty());
    input.clear_payload();
  }
  const bool none = bytes == record::NONE;
  for (record::Difference& d : *report.mutable_differences()) {
    none ? withhold_values(d) : withhold_surroundings(d);
  }
  for (record::Difference& d : *report.mutable_outputs()) {
    if (none) withhold_values(d);  // they begin where they differ
  }
  if (none && report.has_diagnosis()) {
    for (record::Write& write : *report.mutable_diagnosis()->mutable_writes()) {
      write.clear_old_bytes();
      write.clear_new_bytes();
    }
  }
  return report;
}

}  // namespace evenkeel::host
