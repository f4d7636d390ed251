#pragma once
// Each thread's part of the order log, and where the thread has come to in it. Private to
// runtime/sched.
// Threads: a thread's cursor and log are its own, and the lock holder's while it is suspended.
// Memory:  the log lies in the deck; cursors in runtime memory, reset by begin_log().
// Errors:  a log that is full says so in OrderLog::overflow, and takes no more.
#include <cstdint>

#include "runtime/sched/thread.h"
#include "runtime/wire.h"

namespace evenkeel::sched {

struct Cursor {
  uint32_t sequence;  // of the command for which the rest is valid
  uint32_t count;     // operations done
  uint32_t closing;   // 1 + count for which await_closing() has been called
};

void init_log(wire::Deck& deck);
// Pump only. `record`: empties the log.
void begin_log(uint32_t sequence, bool record);
[[nodiscard]] Cursor& cursor_of(const Thread& thread);
[[nodiscard]] uint64_t operations_done();  // of all threads in this command

// Primary.
void append(const Thread& thread, const wire::OrderEntry& entry);
// Followers: whether there is one after the cursor; which.
[[nodiscard]] bool entry_available(const Thread& thread);
[[nodiscard]] const wire::OrderEntry& next_entry(const Thread& thread);

}  // namespace evenkeel::sched
