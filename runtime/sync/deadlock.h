#pragma once
// Deadlocks, seen in who waits for whom when the replica is quiescent. No timeout: what is found is
// certain, because every thread on the way waits without a deadline for something that only the
// next one could give.
//
// A thread that waits for a lock, a once-control or a join waits for its owners, all of them: a
// writer for every reader, a reader for the writer, or where writers go first for the waiting ones.
// So any cycle is a deadlock (the AND model: Chandy, Misra and Haas, 1983), and so is a way that
// ends at an owner that has exited. A wait for a condition, a semaphore, a barrier or a raw futex
// has no owner, and one for input none in the server: such threads end a way, and are no evidence.
// Where an owner is not known (more read locks than a thread can note, a lock given up by another
// thread than took it) there is no way on either: a deadlock may be missed, none is made up.
//
// Only waits that began in the current command, or owners that exited in it, are followed: a
// deadlock that was left standing is not found again.
//
// Threads: the pump, at quiescence, before the command ends. Memory: 29 KiB, static. Errors: none.
// Cost: two loads while nobody waits for an owner; else linear in threads and the waits among them.
#include "runtime/wire.h"

namespace evenkeel::sync {

[[nodiscard]] bool find_deadlock(wire::Waits& out);

// Waits of known kind and without a deadline that began in the current command: where a lost
// wake-up is, if there was one. It may also be a server at rest, so this is a hint only.
void list_new_waits(wire::Waits& out);

}  // namespace evenkeel::sync
