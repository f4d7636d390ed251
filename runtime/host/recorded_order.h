#pragma once
// What a recorded order says of two moments in two threads: whether one comes before the other in
// every execution that keeps to it (happens-before: Lamport 1978; vector clocks: Mattern 1989).
// Operations of the runtime's own tables are left out: the program does not know of them.
// Threads: one. Memory: a clock for each operation, of all threads that did any; an order that
// would need more than kMaxClockBytes orders nothing. Errors:  none.
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::host {

// After `position` ordered operations of the thread, holding these locks (their version words).
struct Moment {
  uint32_t thread = 0;
  uint32_t position = 0;
  std::vector<uint64_t> locks;
};

class RecordedOrder {
 public:
  static constexpr uint64_t kMaxClockBytes = 64 << 20;

  struct Operation {
    uint64_t object;   // its version word; 0: takes no turn
    uint32_t version;  // that it saw
    bool orders;       // the program means it to
  };

  RecordedOrder() = default;
  struct Length {
    uint32_t thread;
    uint32_t entries;
  };
  RecordedOrder(const wire::OrderLog& log, std::span<const Length> lengths);
  void add_thread(uint32_t thread, std::vector<Operation> operations);
  // All threads have been added.
  void finish();

  [[nodiscard]] bool concurrent(const Moment& a, const Moment& b) const;
  // An object that operations refer to lies there or begins within a few bytes before.
  [[nodiscard]] bool is_object(uint64_t address) const;

 private:
  struct Place {
    uint32_t thread;  // index
    uint32_t operation;
  };
  struct Thread {
    std::vector<Operation> operations;
    std::vector<std::vector<uint32_t>>
        clocks;  // per operation: how many of each thread's are known
  };

  [[nodiscard]] const std::vector<uint32_t>* clock_at(const Moment& moment) const;
  [[nodiscard]] bool before(const Moment& a, const Moment& b) const;
  [[nodiscard]] bool released_before(const Moment& a, const std::vector<uint32_t>& known) const;
  bool advance(Thread& thread);

  std::vector<Thread> threads_;
  std::unordered_map<uint32_t, uint32_t> index_;          // by thread
  std::map<std::pair<uint64_t, uint32_t>, Place> turns_;  // by object and version
};

}  // namespace evenkeel::host
