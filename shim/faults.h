#pragma once
// Hardware faults: the snapshot's own, the server's that it handles, and those that fail the batch.
// A fault that its handler was installed for is the server's business as long as the handler
// returns or jumps away; when it ends the process, the fault is what ended it, and is masked.

namespace evenkeel::shim {

// Once, before carriers start.
void install_fault_handlers();

}  // namespace evenkeel::shim
