#pragma once
// The serializability guard's part of the deck; see runtime/guard. Included by runtime/wire.h only.
//
// An interleaving is what makes a schedule of whole inputs non-serializable: one input acquires a
// lock, another input acquires it, and the first acquires it again. It is named by the three call
// sites, because code repeats and locks and inputs do not.
#include <cstdint>

namespace evenkeel::wire {

enum class Guard : uint32_t { kOff = 0, kLearn = 1, kStrict = 2 };

// Where code called a locking function. Beside the return address the distance of the frame from
// the end of the thread's stack: it tells the callers of a wrapper apart without unwinding (as in
// Mytkowicz et al., "Inferred call path profiling", OOPSLA 2009).
struct CallSite {
  uint64_t code;
  uint64_t depth;
  friend constexpr bool operator==(const CallSite&, const CallSite&) = default;
};

struct Interleaving {
  uint64_t key;      // interleaving_key() of the sites
  CallSite before;   // `input` acquired `lock` here
  CallSite between;  // then `other` did
  CallSite after;    // and then `input` again
  uint64_t lock;     // address
  uint64_t input;    // channels
  uint64_t other;
};

// Distinct ones listed for a command; more are counted, and listed when they are found again.
constexpr uint32_t kMaxInterleavings = 256;

struct GuardResult {          // of the last execution; all zero if the replica did not watch
  uint32_t suspects;          // distinct interleavings that are not learnt
  uint32_t unchecked_groups;  // parallel groups with more acquisitions than are kept
  uint32_t learnt;            // distinct interleavings that are learnt
  uint32_t reserved;
  Interleaving suspect[kMaxInterleavings];
  uint64_t learnt_key[kMaxInterleavings];
};

// Keys of the interleavings that are not suspected: open addressing, linear probing, 0 is free. The
// coordinator writes it between commands only.
constexpr uint32_t kLearntSlots = 16384;           // a power of two
constexpr uint32_t kMaxLearnt = kLearntSlots / 2;  // more: not learnt

struct LearntTable {
  uint32_t count;
  uint32_t reserved;
  uint64_t key[kLearntSlots];
};

// One round of splitmix64.
constexpr uint64_t mix_key(uint64_t state, uint64_t word) {
  uint64_t z = (state ^ word) + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr uint64_t mix_site(uint64_t state, const CallSite& site) {
  return mix_key(mix_key(state, site.code), site.depth);
}

// Never 0.
constexpr uint64_t interleaving_key(const CallSite& before, const CallSite& between,
                                    const CallSite& after) {
  const uint64_t key = mix_site(mix_site(mix_site(0, before), between), after);
  return key != 0 ? key : 1;
}

constexpr uint32_t learnt_slot(const LearntTable& table, uint64_t key) {
  auto slot = static_cast<uint32_t>(key) % kLearntSlots;
  while (table.key[slot] != 0 && table.key[slot] != key) slot = (slot + 1) % kLearntSlots;
  return slot;
}

constexpr bool is_learnt(const LearntTable& table, uint64_t key) {
  return table.key[learnt_slot(table, key)] == key;
}

// False: the table is full.
constexpr bool add_learnt(LearntTable& table, uint64_t key) {
  if (is_learnt(table, key)) return true;
  if (table.count == kMaxLearnt) return false;
  table.key[learnt_slot(table, key)] = key;
  ++table.count;
  return true;
}

}  // namespace evenkeel::wire
