#include "runtime/sync/owners.h"
#include "runtime/sync/sync.h"

namespace evenkeel::sync {

void note_held(uint64_t object) {
  if (!sched::started()) return;
  sched::Thread& me = sched::self();
  if (me.held_count == sched::Thread::kMaxHeld) {
    ++me.held_unknown;
  } else {
    me.held[me.held_count++] = object;
  }
}

void forget_held(uint64_t object) {
  if (!sched::started()) return;
  sched::Thread& me = sched::self();
  for (uint32_t i = me.held_count; i-- != 0;) {  // locks are mostly given up last in, first out
    if (me.held[i] != object) continue;
    me.held[i] = me.held[--me.held_count];
    return;
  }
  if (me.held_unknown != 0) --me.held_unknown;
}

bool lock_held(sched::Tag tag, uint64_t version_word) {
  if (tag == sched::Tag::kMutex) return mutex_held(version_word);
  return tag == sched::Tag::kSpin && spin_held(version_word);
}

}  // namespace evenkeel::sync
