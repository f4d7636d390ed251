#pragma once
// Calls whose effect or answer lies in the file system: executed once, by the primary, and answered
// to everybody from the deck (wire::FileMemos).
//
//   follower   waits for the primary's answer to this call of this thread; with other arguments, or
//              when the primary ended the batch without it, the follower has diverged
//   primary    first looks for an answer of an execution that was rolled back: same operation, same
//              arguments, not yet used by this execution (its own thread's first). Else executes.
//
// Effects of a rolled-back execution that its repetition does not ask for stay; they are counted.
// Threads: any application thread, kernel lock held or not. Only the primary writes the list.
#include <cstdint>

#include "runtime/wire.h"

namespace evenkeel::kernel {

// The list itself, apart from who is primary and how to wait: testable by itself.
class MemoList {
 public:
  explicit MemoList(wire::FileMemos& memos) : memos_(memos) {}

  struct Key {
    uint32_t sequence;  // command
    uint32_t thread;
    uint32_t index;
    wire::FileOp op;
    uint64_t arguments;
  };
  // The answer given to this call during this command, or null.
  [[nodiscard]] const wire::FileMemo* find(const Key& key) const;
  // An answer given during an earlier command since the commit to a call like this one; from now on
  // this call's. Null: none.
  wire::FileMemo* reuse(const Key& key);
  // A new entry, not yet visible; null when the list is full (from then on always).
  wire::FileMemo* claim(const Key& key, uint32_t payload_room);
  void publish(wire::FileMemo& memo, const Key& key);
  [[nodiscard]] uint8_t* payload_of(const wire::FileMemo& memo) const {
    return memos_.payload + memo.payload_offset;
  }
  // Entries that the command did not use and that changed something outside.
  [[nodiscard]] uint32_t orphans(uint32_t sequence) const;
  void clear();

 private:
  wire::FileMemos& memos_;
};

// Whether a repetition that does not make such a call leaves something behind.
[[nodiscard]] bool changes_something(wire::FileOp op);
[[nodiscard]] bool same_call(const wire::FileMemo& memo, const MemoList::Key& key);

// Digest of a call's arguments.
class Arguments {
 public:
  Arguments& add(uint64_t value);
  Arguments& add(const char* text);
  [[nodiscard]] uint64_t digest() const { return digest_; }

 private:
  uint64_t digest_ = 0;
};

struct MemoReply {
  long result;
  const uint8_t* payload;  // in the deck, until the batch commits
  uint32_t payload_bytes;
};
// Executes at the primary. Writes at most `payload_room` bytes and says how many.
using MemoBody = long (*)(void* context, uint8_t* payload, uint32_t& payload_bytes);
MemoReply memoise(wire::FileOp op, const Arguments& arguments, uint32_t payload_room, MemoBody body,
                  void* context);

template <typename Body>
MemoReply memoise(wire::FileOp op, const Arguments& arguments, uint32_t payload_room, Body body) {
  const MemoBody enter = [](void* context, uint8_t* payload, uint32_t& bytes) {
    return (*static_cast<Body*>(context))(payload, bytes);
  };
  return memoise(op, arguments, payload_room, enter, &body);
}

void init_memo();
// The pump, when a batch commits. Counts orphans; the primary empties the list.
void commit_memos(bool is_primary);

}  // namespace evenkeel::kernel
