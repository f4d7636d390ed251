#pragma once
// Calls that the coordinator executes once for all replicas (wire::ExternalCall).
// Threads: any application thread, lock not held; one at a time per replica. The carrier waits.
#include <cstdint>

#include "runtime/wire.h"

namespace evenkeel::kernel {

struct External {
  wire::ExternalOp op;
  wire::Channel channel;
  int64_t value;
  const void* in;
  uint32_t in_bytes;
  void* out;           // may be null
  uint32_t out_bytes;  // room
};
// The coordinator's result: >= 0 or -errno.
long external_call(const External& call);

}  // namespace evenkeel::kernel
