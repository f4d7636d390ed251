// Re-execution of a batch that agreed but that the serializability guard suspects.
#include <fmt/format.h>

#include "runtime/host/repair.h"

namespace evenkeel::host {

void Repair::recheck_interleavings(Batch& batch) {
  Report report = open_suspicion(batch);
  parts_.guard.begin_trial(parts_.replicas.primary(), report);
  report_ = &report;
  leaked_ = left_standing_ = dropped_ = false;
  ++parts_.stats.suspects;
  parts_.executor.disagree();
  ++parts_.stats.reexecutions;
  did(
      fmt::format("all replicas rolled back to the state before batch {} and executed it again "
                  "sequentially",
                  report.batch));
  try {
    replay(batch, true);
  } catch (const Ending&) {
    report_ = nullptr;
    parts_.reports.name(report);
    save(report, "the server ended during the re-execution");
    throw;
  }
  report_ = nullptr;
  if (!parts_.guard.end_trial(!leaked_ && !dropped_, report)) return;
  parts_.reports.name(report);
  save(report, leaked_ || dropped_ ? outcome() : report.outcome);
}

}  // namespace evenkeel::host
