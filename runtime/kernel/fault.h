#pragma once
// Faults of the server: a crash ends the execution of the batch, never the replica, unless the
// command says that the crash is to happen. The first fault of a command is the one reported.
// Threads: any carrier. Memory: the runtime's, so a rollback does not undo the record.
#include <cstdint>

namespace evenkeel::kernel {

struct Fault {
  int signal;        // 0: none
  uint64_t address;  // that was accessed, or the pointer that was misused
  uint64_t code;     // instruction pointer
  uint32_t thread;
};

// Records it and stops the execution; the caller suspends itself when it can.
void note_fault(const Fault& fault);
// Records a fault of the calling thread, which ends here. With or without the kernel lock.
[[noreturn]] void fail(int signal, uint64_t address, uint64_t code);
[[nodiscard]] Fault take_fault();
void discard_fault();

// Test hook: the calling thread of the n-th system call from now on crashes; 0: none does.
void crash_at_call(uint32_t n);
// Counts a system call; may not return.
void maybe_crash();

// True if the signal's default action is to end a process that has gone wrong, with a core.
[[nodiscard]] bool is_crash(int signal);
// Command::let_crash: nothing of this is to be masked.
[[nodiscard]] bool crashes_pass();
// Gives the signal its real default action, for whoever then returns to the faulting instruction.
void restore_default_action(int signal);
// Of replicas that end together one writes the file that the bare server would.
void leave_no_core_file();
// Ends the process by the signal, raised on the calling kernel thread.
[[noreturn]] void die_by(int signal);

}  // namespace evenkeel::kernel
