#include "runtime/kernel/kernel.h"

#include <atomic>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/kernel/connection.h"
#include "runtime/kernel/external.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/futex.h"
#include "runtime/kernel/memo.h"
#include "runtime/kernel/output.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/random.h"
#include "runtime/kernel/real_fd.h"
#include "runtime/kernel/signals.h"
#include "runtime/kernel/socket.h"
#include "runtime/kernel/state.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/thread.h"

namespace evenkeel::kernel {
namespace {

struct Identity {
  wire::Deck* deck;
  uint32_t replica;
  State* state;
};
constinit Identity g{};

using wire::InputKind;

void deliver_to_connection(Connection& connection, const wire::Input& input) {
  switch (input.kind) {
    case InputKind::kData:
      return deliver_data(connection, g.deck->input_bytes + input.offset, input.bytes);
    case InputKind::kEof:
      return deliver_eof(connection);
    case InputKind::kReset:
      return deliver_reset(connection, static_cast<int>(input.value));
    case InputKind::kBacklog:
      return deliver_backlog(connection, static_cast<uint32_t>(input.value));
    case InputKind::kConnected:
      return deliver_connected(connection, static_cast<int>(input.value));
    case InputKind::kOpened:
    case InputKind::kSignal:
      break;
  }
  EVENKEEL_DIE("unknown input", "kind", input.kind);
}

}  // namespace

State& state() { return *g.state; }
wire::Deck& deck() { return *g.deck; }
uint32_t replica_index() { return g.replica; }
wire::Replica& replica() { return g.deck->replicas[g.replica]; }
bool is_primary() { return g.deck->command.primary == g.replica; }

void init(wire::Deck& deck, uint32_t replica) {
  g.deck = &deck;
  g.replica = replica;
  g.state = arena::create<State>();
  init_fds();
  init_thread_calls();
  init_process();
  init_real_fds();
  init_connections();
  init_sockets();
  init_futexes();
  init_random();
  init_signals();
  init_memo();
  init_files();
}

void begin_command(const wire::Command& command) {
  sched::set_batch_time(
      {command.batch, command.monotonic_ns, command.realtime_ns, command.cpu_ns, command.seed});
  reset_outputs(g.deck->command_sequence.load(std::memory_order_relaxed));
  reset_process_outcome();
  forget_inputs();
}

void deliver(const wire::Input& input) {
  sched::Guard guard;
  if (input.kind == InputKind::kSignal) {
    deliver_process_signal(static_cast<int>(input.value));
  } else if (input.kind == InputKind::kOpened) {
    wire::OpenedPayload payload;
    EVENKEEL_CHECK(input.bytes == sizeof payload);
    std::memcpy(&payload, g.deck->input_bytes + input.offset, sizeof payload);
    deliver_opened(input, payload);
  } else if (Connection* connection = find_connection(input.channel)) {
    deliver_to_connection(*connection, input);
  }  // else: closed by the server while the input was under way
}

Outcome end_command() {
  {
    sched::Guard guard;
    settle_inputs();
    clear_tids_of_exited();
    list_ended_detached();
    sched::reclaim_threads();
    end_descriptors();
  }
  const ProcessOutcome process = process_outcome();
  return {process.ended,
          process.status,
          process.signal,
          process.daemonise,
          any_choked_without_backlog(),
          output_digest(),
          output_used()};
}

void count_unhandled(long number) {
  if (number < 0 || number >= long{wire::kMaxSyscalls}) return;
  replica().unhandled_syscalls[number].fetch_add(1, std::memory_order_relaxed);
}

// Takes no kernel lock, because it is called with and without it.
void count_unhandled(const char* what) {
  static constinit std::atomic<bool> naming = false;
  for (wire::UnhandledName& entry : replica().unhandled_names) {
    if (entry.count.load(std::memory_order_acquire) == 0) {  // pairs with the release below
      while (naming.exchange(true, std::memory_order_acquire)) __builtin_ia32_pause();
      const bool free = entry.count.load(std::memory_order_relaxed) == 0;
      if (free) {
        std::strncpy(entry.name, what, sizeof entry.name - 1);
        entry.count.store(1, std::memory_order_release);  // the name is complete
      }
      naming.store(false, std::memory_order_release);
      if (free) return;
    }
    if (std::strncmp(entry.name, what, sizeof entry.name - 1) == 0) {
      entry.count.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
}

}  // namespace evenkeel::kernel
