#pragma once
// The order log as reports show it: the last ordered operations of each thread of the primary.
#include <cstdint>
#include <string>

#include "runtime/host/report.pb.h"
#include "runtime/wire.h"

namespace evenkeel::host {

constexpr uint32_t kMaxShownThreads = 64;     // those with the most operations; more: left out
constexpr uint64_t kMaxShownOperations = 24;  // of one thread

// What the tag of an entry stands for: "mutex", "futex (blocked)".
[[nodiscard]] std::string operation_text(uint32_t tag);

// The program means such an operation to order its threads; others are the runtime's tables'.
[[nodiscard]] bool orders_program(uint32_t what);

// Why a follower left the recorded order: ": T3 at its operation 7: …"; empty if it did not.
[[nodiscard]] std::string contradiction_text(const wire::Result& result);

// Of the execution that was command `sequence`. Bounded, whatever the server has written there.
void add_operations(record::Report& report, const wire::Deck& deck, uint32_t sequence);

// The thread's entry in the report, made if it is not there.
[[nodiscard]] record::Thread& thread_of(record::Report& report, uint32_t id);

}  // namespace evenkeel::host
