#pragma once
// epoll sets: level and edge triggered, one-shot, nested.
// A set keeps a ready list of items whose object may be ready; readiness is looked at again when the
// list is collected. Threads: kernel lock held. Memory: kernel arena.
#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

// Something became true of the object: queues its items and wakes those who wait on their sets.
void mark_watchers(Object& object, uint32_t events);
// The object is going away: takes it out of every set.
void remove_watchers(Object& object);
// Puts every set that watches the object into the shared ordering domain.
void share_sets_of(Object& object);

}  // namespace evenkeel::kernel
