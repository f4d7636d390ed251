#pragma once
// Finds the interleavings of a parallel group that make its schedule non-serializable: of one lock,
// in the order of its versions, the acquisitions A ... B ... A, where A and B are inputs that
// different threads worked for, and both neighbours conflict (two readers do not). Each is a cycle
// A -> B -> A in the conflict graph of the inputs. (The access pattern of atomicity violations: Lu
// et al., "AVIO", ASPLOS 2006, here with critical sections for accesses.)
//
// Not found: cycles that need two locks or three inputs.
//
// Cost: linear in the acquisitions and in the lengths of the windows between two of one input, but
// for the sorting of each lock's, which come in one sorted run per carrier.
// Threads: the pump only. Memory: static. Errors: false when there are too many to look at.
#include <cstdint>

#include "runtime/sched/acquisitions.h"

namespace evenkeel::guard {

constexpr uint32_t kMaxScanned = 65536;         // acquisitions of a group; more: not checked
constexpr uint32_t kMaxWindowSteps = 1U << 20;  // about 1 ms; more: what was found so far counts

struct Found {
  const sched::Acquisition& before;
  const sched::Acquisition& between;
  const sched::Acquisition& after;
};
// An interleaving of sites is visited as often as it occurs.
using Visit = void (*)(void* context, const Found& found);

[[nodiscard]] bool scan(const sched::AcquisitionLog* const* logs, uint32_t log_count, Visit visit,
                        void* context);

}  // namespace evenkeel::guard
