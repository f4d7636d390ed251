#include "verify/tree.h"

#include <sys/mman.h>

#include <algorithm>

#include "runtime/core/check.h"
#include "verify/verify.h"

namespace evenkeel::verify {
namespace {

constexpr wire::Token kZero = {0, 0};

bool all_zero(const wire::Token* children) {
  uint64_t any = 0;
  for (uint64_t i = 0; i < kFanOut; ++i) any |= children[i].low | children[i].high;
  return any == 0;
}

}  // namespace

sys::Result Tree::map() {
  // Again after a previous use: drops the old content.
  const auto mapped =
      sys::mmap(reinterpret_cast<void*>(kTreeArena.begin), kTreeArena.bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (!mapped.ok()) return mapped;
  uint64_t next = kTreeArena.begin;
  const auto take = [&next](uint64_t bytes) {
    const uint64_t at = next;
    next += page_ceil(bytes);
    EVENKEEL_CHECK(next <= kTreeArena.end());
    return reinterpret_cast<void*>(at);
  };
  for (uint64_t level = 0; level <= kLevels; ++level) {
    const uint64_t nodes = uint64_t{1} << (kLeavesLog2 - level * kFanOutLog2);
    level_[level] = static_cast<wire::Token*>(take(nodes * sizeof(wire::Token)));
  }
  log_ = static_cast<Change*>(take(kMaxUndo * sizeof(Change)));
  stale_ = static_cast<uint64_t*>(take(kMaxUndo * sizeof(uint64_t)));
  order_ = static_cast<uint64_t*>(take(kMaxUndo * sizeof(uint64_t)));
  listed_ = static_cast<wire::Leaf*>(take(kMaxUndo * sizeof(wire::Leaf)));
  log_count_ = stale_count_ = 0;
  stale_sorted_ = true;
  return mapped;
}

void Tree::mark_stale(uint64_t position) {
  EVENKEEL_CHECK(stale_count_ < kMaxUndo);
  if (stale_count_ != 0 && stale_[stale_count_ - 1] > position) stale_sorted_ = false;
  stale_[stale_count_++] = position;
}

void Tree::set_leaf(uint64_t position, uint64_t page, wire::Token value) {
  wire::Token& leaf = level_[0][position];
  if (leaf == value) return;
  EVENKEEL_CHECK(log_count_ < kMaxUndo);
  log_[log_count_++] = {.position = position, .page = page, .before = leaf};
  leaf = value;
  mark_stale(position);
}

// Turns the sorted positions in stale_ into those of their parents, each once.
size_t Tree::parents_of(size_t count) {
  size_t parents = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t parent = stale_[i] >> kFanOutLog2;
    if (parents == 0 || stale_[parents - 1] != parent) stale_[parents++] = parent;
  }
  return parents;
}

void Tree::climb() {
  if (!stale_sorted_) std::sort(stale_, stale_ + stale_count_);
  size_t count = stale_count_;
  for (uint64_t level = 1; level <= kLevels && count != 0; ++level) {
    count = parents_of(count);
    for (size_t i = 0; i < count; ++i) {
      const wire::Token* children = level_[level - 1] + (stale_[i] << kFanOutLog2);
      // The seed keeps nodes of different levels apart; leaves have seed 0.
      level_[level][stale_[i]] =
          all_zero(children) ? kZero : hash_bytes(children, kFanOut * sizeof(*children), level);
    }
  }
  stale_count_ = 0;
  stale_sorted_ = true;
}

void Tree::settle() {
  constexpr uint64_t kKeep = 65536;  // x 32 B = 2 MiB; a large batch's log is given back
  if (log_count_ > kKeep) {
    // Failure costs memory only.
    sys::madvise(log_, page_ceil(log_count_ * sizeof(Change)), MADV_DONTNEED).ignore();
    sys::madvise(stale_, page_ceil(log_count_ * sizeof(uint64_t)), MADV_DONTNEED).ignore();
    sys::madvise(order_, page_ceil(log_count_ * sizeof(uint64_t)), MADV_DONTNEED).ignore();
    sys::madvise(listed_, page_ceil(log_count_ * sizeof(wire::Leaf)), MADV_DONTNEED).ignore();
  }
  log_count_ = 0;
}

void Tree::undo() {
  while (log_count_ != 0) {
    const Change& change = log_[--log_count_];
    level_[0][change.position] = change.before;
    mark_stale(change.position);
  }
  climb();
}

size_t Tree::changed(const wire::Leaf*& leaves) {
  // A leaf that changed several times is in the log as often; its first entry has the settled
  // value.
  for (uint64_t i = 0; i < log_count_; ++i) order_[i] = i;
  std::sort(order_, order_ + log_count_, [this](uint64_t a, uint64_t b) {
    if (log_[a].page != log_[b].page) return log_[a].page < log_[b].page;
    if (log_[a].position != log_[b].position) return log_[a].position < log_[b].position;
    return a < b;
  });
  size_t count = 0;
  for (uint64_t i = 0; i < log_count_; ++i) {
    const Change& change = log_[order_[i]];
    if (i != 0 && log_[order_[i - 1]].position == change.position) continue;
    const wire::Token now = level_[0][change.position];
    if (now != change.before) listed_[count++] = {.page = change.page, .hash = now};
  }
  leaves = listed_;
  return count;
}

}  // namespace evenkeel::verify
