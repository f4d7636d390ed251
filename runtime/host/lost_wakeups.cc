#include "runtime/host/lost_wakeups.h"

#include <algorithm>

#include "runtime/host/output_records.h"

namespace evenkeel::host {
namespace {

bool is_answer(wire::OutputKind kind) {
  return kind == wire::OutputKind::kData || kind == wire::OutputKind::kShutdownWrite ||
         kind == wire::OutputKind::kClose || kind == wire::OutputKind::kAbort;
}

uint32_t slot_of(wire::Channel channel) {
  return static_cast<uint32_t>(channel & ((1U << wire::kChannelSlotBits) - 1));
}

}  // namespace

bool LostWakeups::suspects(const wire::Replica& primary, const Batch& batch,
                           const uint8_t* outputs) {
  const uint32_t count = std::min(primary.waits.count, wire::kMaxWaits);
  if (count == 0) return false;
  if (!find_unanswered(batch, outputs, primary.result.output_bytes)) return false;
  objects_.clear();
  for (uint32_t i = 0; i < count; ++i) objects_.push_back(primary.waits.wait[i].object);
  on_trial_ = impatient();
  return on_trial_;
}

bool LostWakeups::impatient() {
  bool impatient = false;
  for (const uint64_t object : objects_) {
    const auto found = learnt_.find(object);
    if (found == learnt_.end()) {
      impatient = impatient || learnt_.size() < kMaxObjects;
    } else if (found->second.left == 0) {
      impatient = true;
    } else {
      --found->second.left;
    }
  }
  return impatient;
}

void LostWakeups::add_outputs(const uint8_t* area, uint64_t bytes) {
  if (on_trial_) mark_answered(area, bytes);
}

bool LostWakeups::conclude() {
  on_trial_ = false;
  const bool confirmed = std::any_of(unanswered_.begin(), unanswered_.end(),
                                     [this](wire::Channel channel) { return answered(channel); });
  for (const uint64_t object : objects_) {
    if (confirmed) {
      learnt_.erase(object);
      continue;
    }
    if (learnt_.size() >= kMaxObjects && learnt_.find(object) == learnt_.end()) continue;
    Patience& patience = learnt_[object];
    if (patience.left != 0) continue;  // it was another that was suspected
    patience.last = std::clamp<uint32_t>(patience.last * 2, 1, kMaxPatience);
    patience.left = patience.last;
  }
  return confirmed;
}

bool LostWakeups::find_unanswered(const Batch& batch, const uint8_t* outputs, uint64_t bytes) {
  forget_answers();
  mark_answered(outputs, bytes);
  unanswered_.clear();
  for (uint32_t i = 0; i < batch.count(); ++i) {
    const wire::Input& input = batch.input(i);
    if (input.kind != wire::InputKind::kData || answered(input.channel)) continue;
    unanswered_.push_back(input.channel);
  }
  forget_answers();  // those of a re-execution count from here
  return !unanswered_.empty();
}

bool LostWakeups::answered(wire::Channel channel) const {
  const uint32_t slot = slot_of(channel);
  return slot < answered_in_.size() && answered_in_[slot] == round_;
}

void LostWakeups::mark_answered(const uint8_t* area, uint64_t bytes) {
  for_each_output(area, bytes, [this](const wire::OutputRecord& record, auto*) {
    if (!is_answer(record.kind) || record.channel >= wire::kVirtualSocketBase) return;
    const uint32_t slot = slot_of(record.channel);
    if (slot >= answered_in_.size()) answered_in_.resize(slot + 1, 0);
    answered_in_[slot] = round_;
  });
}

void LostWakeups::forget_answers() {
  if (++round_ != 0) return;
  std::fill(answered_in_.begin(), answered_in_.end(), 0);
  round_ = 1;
}

}  // namespace evenkeel::host
