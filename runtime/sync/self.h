#pragma once
// Who is calling, before and after there are threads.
#include "runtime/core/check.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::sync {

// Owner words hold thread index + 1; 0 is nobody.
inline uint32_t number_of(const sched::Thread& thread) { return sched::index_of(thread.id) + 1; }
inline uint32_t self_number() { return sched::started() ? number_of(sched::self()) : 1; }

[[noreturn, gnu::cold]] inline void block_alone(const char* object, uint64_t address) {
  EVENKEEL_DIE("the only thread would block for ever during start-up", object, address);
}

}  // namespace evenkeel::sync
