#pragma once
// Stream sockets before they are connections: created, bound, listening, connecting.
#include "runtime/kernel/connection.h"
#include "runtime/wire.h"

namespace evenkeel::kernel {

void init_sockets();

// The pump: a client connected to the listener.
void deliver_opened(const wire::Input& input, const wire::OpenedPayload& payload);

}  // namespace evenkeel::kernel
