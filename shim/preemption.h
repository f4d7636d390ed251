#pragma once
// The watchdog's end in the replica. The coordinator sends SIGURG to the carriers of a replica that
// does not come to rest: a thread that spins is made to let others run (it may wait for one of
// them, and there may be but one carrier), or, beyond the time limit, all are stopped where they
// are and the batch has failed.

namespace evenkeel::shim {

// Once, before carriers start.
void install_watchdog();

// True if the execution was stopped on the coordinator's request.
[[nodiscard]] bool take_hang();
void discard_hang();

}  // namespace evenkeel::shim
