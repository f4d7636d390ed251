#pragma once
// Hardware faults: the snapshot's own, the server's that it handles, and those that fail the batch.
// A fault that its handler was installed for is the server's business as long as the handler
// returns or jumps away; when it ends the process, the fault is what ended it, and is masked.
// A fault in the library's own text counts as the server's too, if a thread of the server runs
// there and it is no failed check: it has given pthread_mutex_lock() or free() a bad pointer.

namespace evenkeel::shim {

// Once, before carriers start.
void install_fault_handlers();

}  // namespace evenkeel::shim
