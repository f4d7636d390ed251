// Re-execution of a batch that agreed but that the serializability guard suspects.
#include "runtime/host/repair.h"

namespace evenkeel::host {

void Repair::recheck_interleavings(Batch& batch) {
  Report report = open_suspicion(batch);
  parts_.guard.begin_trial(parts_.replicas.primary(), report);
  ++parts_.stats.suspects;
  reexecute(batch, &report);
  if (!parts_.guard.end_trial(!leaked_ && !dropped_, report)) return;
  parts_.reports.admit(report);
  save(report, leaked_ || dropped_ ? outcome() : report.outcome());
}

}  // namespace evenkeel::host
