#pragma once
// What the parts of the process calls share, in tracked memory. Private to them.
#include <sys/resource.h>

#include "runtime/kernel/process.h"
#include "runtime/wire.h"

namespace evenkeel::kernel {

constexpr int kLimits = RLIM_NLIMITS;

struct ThreadName {
  char text[16];  // zero-terminated
};

struct ProcessState {
  uint32_t version;
  bool session_leader;
  rlimit limits[kLimits];
  ThreadName names[wire::kMaxThreads];
};
[[nodiscard]] ProcessState& process_state();

void init_limits(rlimit* limits);
void init_name(ThreadName& name);

}  // namespace evenkeel::kernel
