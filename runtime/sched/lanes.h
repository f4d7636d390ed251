#pragma once
// Whose lane of the heap a thread allocates in: its own, or that of the connection that it works
// for. Where replicas keep orders of their own, chance decides which thread of a pool serves which
// connection; what a connection's lane holds does not depend on that.
//
// Annotations (shim/requests) say for which connection a thread works. Without them it borrows the
// lane of the connection that it reads from, until it reads from another, waits for something new
// to do, or arms the connection in epoll again, when it may be another thread's. Wrong guesses cost
// divergences: the lane is never two threads' at once.
//
// Threads: an application thread for itself; prepare_lane() is the pump's.
// Memory:  kernel arena, tracked; heap segments of the lanes.
// Errors:  connections beyond heap::kConnectionLanes have none: threads keep theirs.
#include "runtime/core/heap.h"
#include "runtime/sched/thread.h"
#include "runtime/wire.h"

namespace evenkeel::sched {

// `borrowed`: threads borrow the lanes of what they read from.
void init_lanes(bool borrowed);

[[nodiscard]] bool has_lane(wire::Channel channel);
[[nodiscard]] heap::LaneId lane_of(wire::Channel channel);

// Lock held. False: another thread has it. A thread has one at a time: it must have left the other.
[[nodiscard]] bool take_lane(Thread& thread, wire::Channel channel);
void leave_lane(Thread& thread);

// Pump: a connection has been opened. Where no order is kept, lanes would race for their first
// segments.
void prepare_lane(wire::Channel channel);
// Lock held. The calling thread has read from the connection.
void borrow_lane(wire::Channel channel);
// By the thread that borrowed it, if it did.
void return_lane();
// The same, if it is this connection's.
void return_lane_of(wire::Channel channel);

}  // namespace evenkeel::sched
