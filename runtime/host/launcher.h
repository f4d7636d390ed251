#pragma once
// Starts one replica: fork, identity of the stack layout, exec.
#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/host/deck.h"
#include "runtime/host/signals.h"

namespace evenkeel::host {

// The environment of replicas. Equal in order and size for all of them: what lies on the initial
// stack decides its layout, and the layout must not differ.
[[nodiscard]] std::vector<std::string> replica_environment(char** inherited,
                                                           const std::string& library, int deck_fd,
                                                           uint32_t replica);

// Address-space randomisation off for everything this process executes. Throws Refusal.
void disable_address_randomisation();

struct Launch {
  std::string path;  // of the server, found
  std::vector<std::string> arguments;
  std::string library;
  const Deck* deck;
  const Signals* signals;
  uint64_t open_files_soft;  // the limit we were started with
};

// Returns the child's pid. Throws Refusal (126) if the kernel will not execute the server.
[[nodiscard]] pid_t launch(const Launch& launch, uint32_t replica);

}  // namespace evenkeel::host
