#pragma once
// The virtual kernel: answers the server's system calls from tracked memory. Entered through the
// symbol layer (hooks) or by syscall user dispatch (SIGSYS); both end in system_call().
//
// Results follow the kernel's convention: [-4095, -1] is -errno. A handler may suspend the calling
// thread and continue on another carrier.
// Threads: any application thread. Memory: kernel arena only. What is neither handled, nor known to
// be harmless, is executed for real, counted and named: see count_unhandled().
#include <cstddef>
#include <cstdint>

#include "runtime/kernel/object.h"
#include "runtime/wire.h"

namespace evenkeel::kernel {

struct Call {
  long number;
  uint64_t args[6];
  void* context;  // ucontext_t of the dispatched call; null when it came by symbol

  template <typename T>
  [[nodiscard]] T* pointer(int i) const {
    return reinterpret_cast<T*>(args[i]);
  }
  [[nodiscard]] int integer(int i) const { return static_cast<int>(args[i]); }
  [[nodiscard]] uint32_t word(int i) const { return static_cast<uint32_t>(args[i]); }
};
using Handler = long (*)(const Call&);

// ---- life

// Builds the kernel's state in the arena. Before any other call; single-threaded.
void init(wire::Deck& deck, uint32_t replica);
[[nodiscard]] wire::Deck& deck();
[[nodiscard]] wire::Replica& replica();
[[nodiscard]] uint32_t replica_index();
[[nodiscard]] bool is_primary();

// ---- calls

long system_call(const Call& call);
template <typename... T>
long call(long number, T... args) {
  Call c{number, {(uint64_t)args...}, nullptr};
  return system_call(c);
}
// Executes the call for real.
long pass_through(const Call& call);
void count_unhandled(long number);
// For uses that are less than a whole system call, e.g. "mmap MAP_SHARED file"; a literal.
void count_unhandled(const char* what);

// ---- the pump's side; every application thread is parked

// Starts a command: resets outputs, opens windows. Before any delivery.
void begin_command(const wire::Command& command);
void deliver(const wire::Input& input);  // makes threads ready
// Lets connections go on that filled their window in an earlier batch.
void release_choked();
struct Outcome {
  bool exited;
  int exit_status;
  int exit_signal;
  bool daemonise;
  bool choked;
  wire::Token outputs;
  uint64_t output_bytes;
};
// Ends a command: unread input moves from the deck to tracked memory.
[[nodiscard]] Outcome end_command();

}  // namespace evenkeel::kernel
