#pragma once
// Annotated memory: bytes that may differ between replicas, and objects with names for reports.
// Threads: the first part by application threads; the rest by the pump.
// Memory:  kernel arena, tracked: a rollback forgets what the execution said.
// Errors:  what exceeds a limit is counted and named in `evenkeel status`, and compared as any
//          other memory.
#include "runtime/core/layout.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

// Ranges that begin or end in one batch; those that begin and end in it do not count.
constexpr uint32_t kMaxRangeChanges = 1024;

void init_marks();

void relax(Range range);
void stop_relaxing(Range range);
void name_object(Range range, const char* label);
void forget_name(uint64_t begin);

void apply_relaxed(bool verifying);  // before memory is hashed, if it is
void list_names(wire::Report& report);

}  // namespace evenkeel::shim
