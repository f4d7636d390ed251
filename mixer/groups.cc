#include <algorithm>
#include <bit>
#include <cstring>

#include "mixer/mixer.h"

namespace evenkeel::mixer {
namespace {

// Channels share the table with keys. An odd factor keeps their ids apart from each other.
constexpr uint64_t channel_id(uint64_t channel) { return channel * 0x9E3779B97F4A7C15; }

// The first group at or above `floor` that is not in `taken`; beyond the window, or if there is
// none in it, one at or above `after`.
uint32_t first_fit(uint64_t taken, uint32_t after, uint32_t floor) {
  if (floor < Groups::kWindow) {
    const uint64_t fitting = ~taken & (~uint64_t{0} << floor);
    if (fitting != 0) return static_cast<uint32_t>(std::countr_zero(fitting));
  }
  return std::max({Groups::kWindow, after, floor});
}

uint64_t bit_of(uint32_t group) { return group < Groups::kWindow ? uint64_t{1} << group : 0; }

}  // namespace

void Groups::clear() {
  used_ = 0;
  count_ = 0;
  occupied_ = 0;
  closed_ = 0;
  next_closed_ = 0;
  out_of_slots_ = false;
  if (++epoch_ != 0) return;
  epoch_ = 1;  // after 2^32 batches old slots would look used
  memset(static_cast<void*>(slots_), 0, (mask_ + 1) * sizeof(Slot));
}

Groups::Slot& Groups::find(uint64_t id) {
  // Ends: a third of the slots is free.
  size_t at = id & mask_;
  while (slots_[at].epoch == epoch_ && slots_[at].id != id) at = (at + 1) & mask_;
  Slot& slot = slots_[at];
  if (slot.epoch != epoch_) {
    slot = Slot{id, {}, {}, epoch_};
    ++used_;
  }
  return slot;
}

void Groups::mark(Slot& slot, Access access, uint32_t group) {
  const auto a = static_cast<uint32_t>(access);
  slot.used[a] |= bit_of(group);
  slot.next[a] = std::max(slot.next[a], group + 1);
}

uint32_t Groups::place_alone(uint32_t floor) {
  const uint32_t group =
      out_of_slots_ ? std::max(count_, floor) : first_fit(occupied_, count_, floor);
  closed_ |= bit_of(group);
  next_closed_ = std::max(next_closed_, group + 1);
  return group;
}

uint32_t Groups::place(std::span<const Key> keys, uint32_t floor) {
  uint64_t taken = closed_;
  uint32_t after = next_closed_;
  for (const Key& key : keys) {
    const Slot& slot = find(key.id);
    for (uint32_t left = kConflicts[static_cast<uint32_t>(key.access)]; left != 0;
         left &= left - 1) {
      const auto other = static_cast<uint32_t>(std::countr_zero(left));
      taken |= slot.used[other];
      after = std::max(after, slot.next[other]);
    }
  }
  const uint32_t group = first_fit(taken, after, floor);
  for (const Key& key : keys) mark(find(key.id), key.access, group);
  return group;
}

uint32_t Groups::add(const Request& request) {
  const size_t channels = request.channel != 0 ? 1 : 0;
  out_of_slots_ = out_of_slots_ || room() < channels;
  Slot* const channel =
      channels != 0 && !out_of_slots_ ? &find(channel_id(request.channel)) : nullptr;
  uint32_t floor = request.first_group;
  if (channel != nullptr && channel->next[0] != 0) {
    floor = std::max(floor, channel->next[0] - (request.together ? 1 : 0));
  }
  const bool alone = request.everything || out_of_slots_ || room() < request.keys.size();
  const uint32_t group = alone ? place_alone(floor) : place(request.keys, floor);
  if (channel != nullptr) channel->next[0] = std::max(channel->next[0], group + 1);
  occupied_ |= bit_of(group);
  count_ = std::max(count_, group + 1);
  return group;
}

}  // namespace evenkeel::mixer
