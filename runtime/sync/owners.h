#pragma once
// Who holds what: for whoever looks for deadlocks. Mutexes, rwlocks held for writing and
// once-controls know their owner; read locks and spin locks are noted in the holder's Thread.
// Threads: note and forget by the holder; the others by the pump, at quiescence, of an object on
// which a thread waits.
#include <cstdint>

#include "runtime/sched/carrier.h"
#include "runtime/wire.h"

namespace evenkeel::sync {

// The caller now holds (no longer holds) a lock that does not know its owners. Nothing happens if
// it was not noted: who gives up a lock need not be the one who took it.
void note_held(uint64_t object);
void forget_held(uint64_t object);

// Owner numbers (thread index + 1; 0: nobody, or unknown).
[[nodiscard]] uint32_t mutex_owner(uint64_t key);
[[nodiscard]] uint32_t once_owner(uint64_t key);

// Of the lock with this version word, which need not be initialised yet.
[[nodiscard]] bool mutex_held(uint64_t version_word);
[[nodiscard]] bool spin_held(uint64_t version_word);

struct RwlockOwners {
  uint64_t object;  // its address, whatever its waiters' key
  uint32_t writer;  // owner number
  uint32_t readers;
  uint64_t writers_key;  // where writers wait
};
[[nodiscard]] RwlockOwners rwlock_owners(uint64_t key, wire::WaitKind kind);

}  // namespace evenkeel::sync
