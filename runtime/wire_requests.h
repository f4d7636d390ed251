#pragma once
// Counters of annotated requests, in wire::Replica::counters beside those of wire::Counter.
#include "runtime/wire.h"

namespace evenkeel::wire {

constexpr Counter kCountRequestGroups{30};      // groups of annotated requests that have run
constexpr Counter kCountAnnotatedRequests{31};  // requests in them
static_assert(kTimeIdle < kCountRequestGroups);
static_assert(kCountAnnotatedRequests < kCounters);

}  // namespace evenkeel::wire
