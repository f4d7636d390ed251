#pragma once
// Annotated requests: whose lane of the heap a thread allocates in, and which requests run
// together.
//
// A request that has declared its footprint parks until its group runs. When the replica is
// quiescent, the pump groups all requests that wait, in the order of their channels (not of their
// arrival, which differs between replicas of independent order), and lets the first group go on;
// what is left is grouped anew, with whoever has come, when the replica is quiescent again. So one
// who waits is never waited for in vain: not even if it holds a lock.
//
// Threads: the first part by application threads; the rest by the pump.
// Memory:  kernel arena, tracked: a rollback forgets who waits. The groups are runtime memory, made
//          anew each time.
// Errors:  none; what does not fit conflicts with everything, or keeps the thread's own lane.
#include "mixer/mixer.h"
#include "runtime/core/layout.h"
#include "runtime/wire.h"

namespace evenkeel::shim {

constexpr uint32_t kMaxDeclaredKeys = 64;  // a request; more: it conflicts with everything

void init_requests();

void begin_request(int fd);
void end_request();
void declare(mixer::Access access, const char* space, Range key);
void await_group();

// Lets go on those that wait, as many as may run together; false: nobody waits. `alone`: one.
bool release_requests(const wire::Boot& boot, const wire::Command& command, bool alone);

}  // namespace evenkeel::shim
