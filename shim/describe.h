#pragma once
// What differs from the committed image, for the token and for reports. Pump only.
#include <cstdint>

#include "runtime/wire.h"
#include "snapshot/snapshot.h"

namespace evenkeel::shim {

// Brings the Merkle tree up to date; returns how many hashed pages really changed. `all`: also
// pages that equal the image, because the image changed under the tree.
uint32_t hash_changed(const snapshot::DirtyPages& dirty, bool all = false);

// kDescribe: the changed leaves. kDump: whole pages with the heap objects on them.
void describe(wire::Replica& replica);
void dump(const wire::Deck& deck, wire::Replica& replica);

}  // namespace evenkeel::shim
