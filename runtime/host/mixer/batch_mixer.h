#pragma once
// Gives each input of a batch its parallel group, so that inputs whose footprints conflict do not
// run together. An input is what a connection sent in this batch; its footprint is that of all
// requests of which it has a part.
//
// Connections keep their order; signals part the batch: what came before one comes into an earlier
// group. A batch is grouped once: when it is executed again, that is one input at a time.
// Threads: the coordinator's only one.
// Memory:  a stream per connection; lists that keep their capacity; kSlots slots.
// Errors:  none. What is not understood conflicts with everything if replicas order themselves, and
//          with nothing if the order is recorded: then it costs speed, not divergences.
#include <memory>
#include <random>
#include <vector>

#include "mixer/mixer.h"
#include "runtime/host/batch.h"
#include "runtime/host/mixer/dialect.h"
#include "runtime/host/stats.h"

namespace evenkeel::host {

class BatchMixer {
 public:
  // An input with more keys conflicts with everything.
  static constexpr size_t kMaxInputKeys = 4096;

  // `lies`: test hook: of a hundred inputs, so many get a wrong footprint.
  BatchMixer(std::unique_ptr<Dialect> dialect, wire::Order order, uint32_t lies, Stats& stats);

  void group(Batch& batch);

 private:
  // Two thirds of them: keys and channels of a batch. 16,384 inputs with two keys each.
  static constexpr size_t kSlots = size_t{1} << 17;
  static constexpr size_t kFewestSlots = 256;

  struct Connection {
    wire::Channel channel = 0;
    Stream stream;
  };
  struct Footprint {
    uint32_t first_key = 0;
    uint32_t end_key = 0;
    bool everything = false;
  };

  void add_footprint(const Batch& batch, const wire::Input& input);
  // What is found in the bytes is in requests_ afterwards.
  void read(const Batch& batch, const wire::Input& input);
  [[nodiscard]] bool conflicts_with_everything() const;
  void maybe_lie(Footprint& footprint);
  [[nodiscard]] Stream& stream_of(wire::Channel channel);
  [[nodiscard]] size_t slots_needed() const;

  std::unique_ptr<Dialect> dialect_;
  wire::Order order_;
  uint32_t lies_;
  std::minstd_rand chance_;
  Stats& stats_;
  std::vector<Connection> connections_;  // by slot
  Requests requests_;                    // of one input
  std::vector<Footprint> footprints_;    // of the batch's inputs
  std::vector<mixer::Key> keys_;         // of the batch
  std::vector<mixer::Groups::Slot> slots_{kSlots};
  mixer::Groups groups_{slots_};
  std::vector<uint32_t> group_of_;  // by input
};

}  // namespace evenkeel::host
