#pragma once
// A replica's state before a batch, and the batch, as a file (wire::StateHeader): written from a
// frozen copy of the replica, read by whoever executes the batch again.
// Threads: any one. Memory: a buffer; parts of the deck while they wait to be written.
// Errors:  Refusal that says what is wrong with a file; std::system_error of the system's.
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/host/fd.h"
#include "runtime/wire.h"

namespace evenkeel::host {

// The seat of the deck at which a state file has the replica that it was taken from.
constexpr uint32_t kSourceSeat = wire::kMaxReplicas - 1;

struct DeckPart {
  uint64_t address;  // in a replica
  std::string bytes;
};

// What of the deck belongs to the batch that was executed by command `sequence`: the command, its
// inputs, the order log, answers of the file system. Empty: it cannot be repeated, because there
// are more ordered operations than are kept.
[[nodiscard]] std::vector<DeckPart> copy_batch(const wire::Deck& deck, uint32_t sequence,
                                               uint32_t input_count);
// What it says of its seat, once it has been frozen.
[[nodiscard]] std::vector<DeckPart> copy_seat(const wire::Deck& deck, uint32_t primary);

// Stores the memory of `frozen` with the parts and the text; nothing is left of a file that would
// be larger than `limit_bytes` (then: Refusal). Mode 0600, complete or absent.
void write_state(const std::filesystem::path& path, pid_t frozen, std::vector<DeckPart> parts,
                 nlohmann::json text, uint64_t limit_bytes);

class StateFile {
 public:
  explicit StateFile(const std::filesystem::path& path);

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Of the state; a report may follow.
  [[nodiscard]] uint64_t bytes() const { return header_.file_bytes; }
  [[nodiscard]] const nlohmann::json& text() const { return text_; }
  // The parts of the deck into a deck.
  void load(wire::Deck& deck) const { load_part(deck, 0, sizeof deck); }
  void load_log(wire::Deck& deck) const;

 private:
  void load_part(wire::Deck& deck, uint64_t begin, uint64_t bytes) const;
  void check(const std::string& name);

  Fd fd_;
  wire::StateHeader header_{};
  std::vector<wire::StateSegment> segments_;
  nlohmann::json text_;
};

}  // namespace evenkeel::host
