#include "runtime/host/mixer/batch_mixer.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace evenkeel::host {

BatchMixer::BatchMixer(std::unique_ptr<Dialect> dialect, wire::Order order, uint32_t lies,
                       Stats& stats)
    : dialect_(std::move(dialect)), order_(order), lies_(lies), stats_(stats) {}

Stream& BatchMixer::stream_of(wire::Channel channel) {
  const size_t slot = channel & ((wire::Channel{1} << wire::kChannelSlotBits) - 1);
  if (slot >= connections_.size()) connections_.resize(slot + 1);
  Connection& connection = connections_[slot];
  if (connection.channel != channel) connection = {channel, {}};
  return connection.stream;
}

void BatchMixer::read(const Batch& batch, const wire::Input& input) {
  requests_.clear();
  if (input.kind != wire::InputKind::kData) return dialect_->notice(input.kind, requests_);
  if (input.channel >= wire::kVirtualSocketBase) {  // the server is the client: answers to it
    requests_.begin("(answer)");
    return requests_.unknown();
  }
  const auto* const bytes = reinterpret_cast<const char*>(batch.payload(input));
  dialect_->read(stream_of(input.channel), {bytes, input.bytes}, requests_);
  stats_.mixed_requests += requests_.count();
}

bool BatchMixer::conflicts_with_everything() const {
  if (requests_.keys().size() > kMaxInputKeys) return true;
  const Reach reach = requests_.reach();
  return reach == Reach::kEverything ||
         (reach == Reach::kUnknown && order_ == wire::Order::kIndependent);
}

// Its keys seem to be others: what conflicts with them is overlooked.
void BatchMixer::maybe_lie(Footprint& footprint) {
  if (lies_ == 0 || chance_() % 100 >= lies_) return;
  footprint.everything = false;
  for (uint32_t i = footprint.first_key; i < footprint.end_key; ++i) keys_[i].id = chance_();
}

void BatchMixer::add_footprint(const Batch& batch, const wire::Input& input) {
  const auto first = static_cast<uint32_t>(keys_.size());
  Footprint footprint{first, first, false};
  read(batch, input);
  if (requests_.reach() == Reach::kUnknown) ++stats_.unknown_footprints;
  footprint.everything = conflicts_with_everything();
  if (!footprint.everything) {
    const auto keys = requests_.keys();
    keys_.insert(keys_.end(), keys.begin(), keys.end());
    footprint.end_key = static_cast<uint32_t>(keys_.size());
  }
  if (input.kind == wire::InputKind::kData) maybe_lie(footprint);
  footprints_.push_back(footprint);
}

size_t BatchMixer::slots_needed() const {
  const size_t entries = keys_.size() + footprints_.size();
  return std::clamp(std::bit_ceil(entries * 2), kFewestSlots, kSlots);
}

void BatchMixer::group(Batch& batch) {
  footprints_.clear();
  keys_.clear();
  for (uint32_t i = 0; i < batch.count(); ++i) add_footprint(batch, batch.input(i));
  groups_.clear(slots_needed());
  group_of_.clear();
  uint32_t part = 0;  // as signals part the batch
  uint32_t first_group = 0;
  for (uint32_t i = 0; i < batch.count(); ++i) {
    const wire::Input& input = batch.input(i);
    if (input.group != part) first_group = groups_.count();
    part = input.group;
    const Footprint& footprint = footprints_[i];
    const std::span<const mixer::Key> keys(keys_);
    group_of_.push_back(groups_.add(
        {.keys = keys.subspan(footprint.first_key, footprint.end_key - footprint.first_key),
         .channel = input.channel,
         .everything = footprint.everything,
         .first_group = first_group}));
  }
  stats_.groups += groups_.count();
  batch.regroup(group_of_);
}

}  // namespace evenkeel::host
