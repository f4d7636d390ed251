#pragma once
// The batch under construction, written straight into the deck: inputs from the network land where
// the replicas read them.
// Threads: the coordinator's only one. Memory: the deck's, and lists to sort in, which keep their
// capacity. Errors: none; ask has_room() first.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::host {

class Batch {
 public:
  // One connection adds at most this many inputs per visit: data, end of stream, reset.
  static constexpr uint32_t kInputsPerVisit = 3;
  static constexpr uint64_t kLeastReadBytes = 4096;
  static constexpr uint32_t kSignalRoom = 64;  // every signal once

  explicit Batch(wire::Deck& deck) : deck_(deck) {}

  void clear() {
    count_ = 0;
    used_ = 0;
    requests_ = 0;
    group_ = 0;
    group_in_use_ = false;
    urgent_ = false;
  }

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] uint64_t requests() const { return requests_; }
  // Worth running now; otherwise its inputs may travel with the next one.
  [[nodiscard]] bool urgent() const { return urgent_; }
  [[nodiscard]] bool has_room() const {
    return count_ + kInputsPerVisit + kSignalRoom <= wire::kMaxInputs &&
           used_ + kLeastReadBytes <= wire::kInputBytes;
  }

  // Where the next payload goes, and how much of it may be read there.
  [[nodiscard]] uint8_t* cursor() { return deck_.input_bytes + used_; }
  [[nodiscard]] size_t read_limit() const {
    const uint64_t left = wire::kInputBytes - used_;
    return left < wire::kInputBytesPerChannel ? left : wire::kInputBytesPerChannel;
  }

  // `bytes` at cursor() are a connection's data.
  void add_data(wire::Channel channel, uint32_t bytes) {
    push(wire::InputKind::kData, channel, bytes, 0, 0);
    ++requests_;
  }
  void add_opened(wire::Channel channel, uint32_t listener, const wire::OpenedPayload& payload) {
    std::memcpy(cursor(), &payload, sizeof payload);
    push(wire::InputKind::kOpened, channel, sizeof payload, listener, 0);
  }
  void add(wire::InputKind kind, wire::Channel channel, int64_t value) {
    push(kind, channel, 0, 0, value);
  }
  // Not urgent: only tells the replicas what they may need once they run again.
  void add_note(wire::InputKind kind, wire::Channel channel, int64_t value) {
    const bool urgent = urgent_;
    push(kind, channel, 0, 0, value);
    urgent_ = urgent;
  }
  // A group of its own: handlers run when everything before has come to rest. has_room() keeps
  // room for kSignalRoom of them.
  void add_signal(int signal) {
    if (group_in_use_) ++group_;
    push(wire::InputKind::kSignal, 0, 0, 0, signal);
    ++group_;
    group_in_use_ = false;
  }

  [[nodiscard]] const wire::Input& input(uint32_t index) const { return deck_.inputs[index]; }
  [[nodiscard]] const uint8_t* payload(const wire::Input& input) const {
    return deck_.input_bytes + input.offset;
  }

  // Input i goes into groups[i], one for each; they are then ordered by group, otherwise as they
  // came. Before the batch is executed.
  void regroup(std::span<const uint32_t> groups);

  // A poison input: instead of `index` its connection is reset, and what the client sent after it
  // is forgotten.
  void poison(uint32_t index, int error) {
    wire::Input& bad = deck_.inputs[index];
    bad = {wire::InputKind::kReset, bad.group, bad.channel, bad.offset, 0, 0, error};
    uint32_t kept = index + 1;
    for (uint32_t i = kept; i < count_; ++i) {
      if (deck_.inputs[i].channel != bad.channel) deck_.inputs[kept++] = deck_.inputs[i];
    }
    count_ = kept;
  }

 private:
  void push(wire::InputKind kind, wire::Channel channel, uint32_t bytes, uint32_t listener,
            int64_t value) {
    deck_.inputs[count_++] = {kind, group_, channel, used_, bytes, listener, value};
    used_ += (bytes + 15U) & ~15U;  // payloads start aligned, for whoever reads structures
    group_in_use_ = true;
    urgent_ = true;
  }

  wire::Deck& deck_;
  std::vector<wire::Input> sorted_;
  std::vector<uint32_t> places_;
  uint32_t count_ = 0;
  uint32_t group_ = 0;
  bool group_in_use_ = false;
  uint64_t used_ = 0;
  uint64_t requests_ = 0;
  bool urgent_ = false;
};

}  // namespace evenkeel::host
