#pragma once
// What the parts of the signal implementation share. Private to them.
// Threads: lock held, in the recorded turn of version; or the pump.
#include <signal.h>

#include <cstddef>
#include <cstdint>

#include "runtime/kernel/object.h"
#include "runtime/kernel/signals.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel::signals {

constexpr int kLast = 64;  // signals are numbered from 1
constexpr uint64_t bit(int number) { return uint64_t{1} << (number - 1); }
constexpr uint64_t kUnblockable = bit(SIGKILL) | bit(SIGSTOP);

// As rt_sigaction(2) has it.
struct Action {
  uint64_t handler;  // or SIG_DFL, SIG_IGN
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

constexpr uint32_t kProcess = UINT32_MAX;  // target: the process as a whole

struct Pending {
  Pending* next;
  uint32_t target;  // thread slot or kProcess
  siginfo_t info;
};

// The fault whose handler a thread is in.
struct FaultHandling {
  int signal;  // 0: none
  uint64_t address;
  uint64_t code;
  uint64_t frame;  // stack address: the handler runs below it
};

struct PerThread {
  uint64_t awaited;  // in rt_sigtimedwait
  stack_t alternate;
  FaultHandling fault;
};

struct Signalfd {
  Object object;
  Signalfd* next;
  uint64_t mask;
};

struct State {
  uint32_t version;
  uint64_t inherited_mask;
  uint64_t process_pending;
  Action actions[kLast + 1];
  Pending* queue;  // oldest first
  Signalfd* descriptors;
  PerThread threads[wire::kMaxThreads];
};
[[nodiscard]] State& state();
[[nodiscard]] PerThread& of(const sched::Thread& thread);

void init_timers();  // alarm and its kin

// Disposition as it is now.
[[nodiscard]] bool is_default(int number);
[[nodiscard]] bool is_ignored(int number);  // by wish or by default

// A signal that tells as much as kill() does.
[[nodiscard]] siginfo_t plain_info(int number, int code);

// Sends; may end the server, which the calling thread notices when it next suspends.
void send_to_process(const siginfo_t& info, const sched::Thread* sender);
void send_to_thread(sched::Thread& thread, const siginfo_t& info);

// Takes the lowest-numbered pending signal of the set: the thread's own before the process's.
bool take(const sched::Thread& thread, uint64_t set, siginfo_t& info);
[[nodiscard]] uint64_t pending_for(const sched::Thread& thread);
void discard_everywhere(int number);

}  // namespace evenkeel::kernel::signals
