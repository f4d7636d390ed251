#pragma once
// Lost wake-ups. A thread that waits on a condition variable for a signal that was sent a moment
// earlier looks like a server at rest, so a parallel execution on which all agree is suspected if
//
//   1. somebody's request was delivered and nothing at all was sent back to him, and
//   2. a thread began during this batch to wait, without a deadline, for something that only other
//      threads can give: races of earlier batches are committed and cannot be repaired any more.
//
// It is executed again, sequentially. If that answers one of those requests, a wake-up was lost:
// the suspicion is confirmed. If not, the server waits because it means to (a long poll, a request
// that is not complete yet, a protocol without answers), and what was waited for is not suspected
// for a while: 1, 2, 4, ... up to kMaxPatience occasions, so that such servers pay little, and
// never again for nothing once more than kMaxObjects have been learnt.
//
// Not seen: requests of a connection that got an answer to another one in the same batch.
// Threads: the coordinator's only one. Memory: 4 B per connection slot, kMaxObjects entries.
// Errors:  none; what the server writes into the deck is checked.
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class LostWakeups {
 public:
  static constexpr uint32_t kMaxPatience = 65536;
  static constexpr size_t kMaxObjects = 1024;  // more: they are not suspected

  // After an agreed parallel execution by this primary, before its outputs are released.
  [[nodiscard]] bool suspects(const wire::Replica& primary, const Batch& batch,
                              const uint8_t* outputs);
  // During the re-execution: outputs that are about to be released. Nothing happens without a
  // suspicion.
  void add_outputs(const uint8_t* area, uint64_t bytes);
  // The re-execution is complete. True: the suspicion is confirmed.
  [[nodiscard]] bool conclude();

 private:
  struct Patience {
    uint32_t left = 0;  // occasions to let pass
    uint32_t last = 0;
  };

  [[nodiscard]] bool find_unanswered(const Batch& batch, const uint8_t* outputs, uint64_t bytes);
  // True if one of them may be suspected now.
  [[nodiscard]] bool impatient();
  [[nodiscard]] bool answered(wire::Channel channel) const;
  void mark_answered(const uint8_t* area, uint64_t bytes);
  void forget_answers();

  std::unordered_map<uint64_t, Patience> learnt_;  // by address of what is waited for
  std::vector<uint64_t> objects_;                  // of this batch's waits
  std::vector<wire::Channel> unanswered_;
  std::vector<uint32_t> answered_in_;  // by slot of the channel: round
  uint32_t round_ = 0;
  bool on_trial_ = false;
};

}  // namespace evenkeel::host
