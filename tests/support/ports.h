#pragma once
#include <cstdint>

#include "tests/support/process.h"

namespace evenkeel::test {

// A TCP port of 127.0.0.1 on which nobody listens, below the range of the kernel's own choice, so
// that no outgoing connection takes it meanwhile.
uint16_t free_port();

// Waits until somebody accepts connections there. Throws if the server ends first, or does not
// come up in time; what it said is in the exception.
void wait_for_port(uint16_t port, Process& server, Seconds timeout = kPatience);

// A blocking connection to 127.0.0.1; throws.
Fd connect_to(uint16_t port);

}  // namespace evenkeel::test
