#include "runtime/core/check.h"
#include "runtime/kernel/memo.h"

namespace evenkeel::kernel {

bool changes_something(wire::FileOp op) {
  switch (op) {
    case wire::FileOp::kStat:
    case wire::FileOp::kStatx:
    case wire::FileOp::kStatfs:
    case wire::FileOp::kAccess:
    case wire::FileOp::kReadlink:
    case wire::FileOp::kDirectory:
    case wire::FileOp::kRead:
    case wire::FileOp::kSize:
    case wire::FileOp::kOpen:  // most create nothing, and what one creates is found again by name
      return false;
    default:
      return true;
  }
}

bool same_call(const wire::FileMemo& memo, const MemoList::Key& key) {
  return memo.op == key.op && memo.arguments == key.arguments;
}

const wire::FileMemo* MemoList::find(const Key& key) const {
  const uint32_t count = memos_.count.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::FileMemo& memo = memos_.memos[i];
    // acquire: pairs with publish(); the fields are valid if it is this command's.
    if (memo.sequence.load(std::memory_order_acquire) != key.sequence) continue;
    if (memo.thread == key.thread && memo.index == key.index) return &memo;
  }
  return nullptr;
}

wire::FileMemo* MemoList::reuse(const Key& key) {
  wire::FileMemo* found = nullptr;
  const uint32_t count = memos_.count.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; ++i) {
    wire::FileMemo& memo = memos_.memos[i];
    const uint32_t sequence = memo.sequence.load(std::memory_order_relaxed);
    if (sequence == 0 || sequence == key.sequence || !same_call(memo, key)) continue;
    const bool same_place = memo.thread == key.thread && memo.index == key.index;
    if (found == nullptr || same_place) found = &memo;
    if (same_place) break;
  }
  // Taken out of sight, so that no other call of this command finds it before it is published.
  if (found != nullptr) found->sequence.store(0, std::memory_order_relaxed);
  return found;
}

wire::FileMemo* MemoList::claim(const Key& key, uint32_t payload_room) {
  const uint32_t slot = memos_.count.load(std::memory_order_relaxed);
  const uint32_t room = (payload_room + 15) & ~15u;
  if (slot == wire::kMaxFileMemos || memos_.payload_used + room > wire::kFileMemoBytes) {
    memos_.overflow.store(1, std::memory_order_release);  // acquire in await_answer()
  }
  if (memos_.overflow.load(std::memory_order_relaxed) != 0) return nullptr;
  wire::FileMemo& memo = memos_.memos[slot];
  memo.sequence.store(0, std::memory_order_relaxed);
  memo.op = key.op;
  memo.arguments = key.arguments;
  memo.payload_offset = memos_.payload_used;
  memo.payload_room = room;
  memo.payload_bytes = 0;
  memos_.payload_used += room;
  memos_.count.store(slot + 1, std::memory_order_release);  // publishes sequence == 0
  return &memo;
}

void MemoList::publish(wire::FileMemo& memo, const Key& key) {
  EVENKEEL_CHECK(memo.payload_bytes <= memo.payload_room);
  memo.thread = key.thread;
  memo.index = key.index;
  memo.sequence.store(key.sequence, std::memory_order_release);  // publishes the entry
}

uint32_t MemoList::orphans(uint32_t sequence) const {
  uint32_t found = 0;
  for (uint32_t i = 0; i < memos_.count.load(std::memory_order_relaxed); ++i) {
    const wire::FileMemo& memo = memos_.memos[i];
    const bool used = memo.sequence.load(std::memory_order_relaxed) == sequence;
    if (!used && memo.result >= 0 && changes_something(memo.op)) ++found;
  }
  return found;
}

void MemoList::clear() {
  memos_.payload_used = 0;
  memos_.overflow.store(0, std::memory_order_relaxed);
  memos_.count.store(0, std::memory_order_release);
}

}  // namespace evenkeel::kernel
