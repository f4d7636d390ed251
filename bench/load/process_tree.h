#pragma once
#include <sys/types.h>

namespace evenkeel::load {

// CPU time, user and system, that a process, its descendants and their reaped children have used.
// Resolution: one clock tick (10 ms).
double tree_cpu_seconds(pid_t root);

}  // namespace evenkeel::load
