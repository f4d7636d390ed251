#pragma once
// The live view's page: counters, replicas and the reports of a run. It shows no byte of the
// server's memory: whoever may connect to a port of this machine can read it.
#include <string>
#include <vector>

#include "runtime/host/metrics.h"
#include "runtime/host/report_list.h"

namespace evenkeel::host {

// `trouble`: why there are no reports to show; empty: there are.
[[nodiscard]] std::string status_page(const Metrics& metrics, const std::vector<ReportRow>& reports,
                                      const std::string& trouble);

}  // namespace evenkeel::host
