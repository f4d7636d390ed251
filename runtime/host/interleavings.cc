#include "runtime/host/interleavings.h"

#include <algorithm>

namespace evenkeel::host {

uint32_t Interleavings::row_needed(const Standing& standing) const {
  uint32_t row = learnt_ < kProven ? kRowOfTrusted : kRowOfProven;
  if (answers_changed_) row = kRow;
  if (standing.striped) row = kRowOfStriped;
  if (standing.convicted) row = kRowOfConvicted;
  return row << std::min(standing.unlearnt, kMaxDoublings);
}

Interleavings::Standing* Interleavings::add(const wire::Interleaving& suspect) {
  const auto found = standings_.find(suspect.key);
  if (found != standings_.end()) return &found->second;
  if (standings_.size() == kMaxStandings) return nullptr;
  Standing fresh;
  fresh.before = suspect.before;
  fresh.between = suspect.between;
  fresh.after = suspect.after;
  return &standings_.emplace(suspect.key, fresh).first->second;
}

// 0: not known, it is put to the test again.
void Interleavings::note_lock(Standing& standing, uint64_t lock) {
  if (lock == 0) return;
  for (uint64_t& known : standing.locks) {
    if (known == lock) return;
    if (known != 0) continue;
    known = lock;
    return;
  }
  standing.striped = true;
}

Interleavings::Change Interleavings::unlearn(Standing& standing) {
  standing.harmless = 0;
  if (!standing.learnt) return Change::kNone;
  standing.learnt = false;
  ++standing.unlearnt;
  --learnt_;
  return Change::kUnlearnt;
}

Interleavings::Change Interleavings::judge(const wire::Interleaving& suspect, bool harmless) {
  answers_changed_ = answers_changed_ || !harmless;
  Standing* standing = add(suspect);
  if (standing == nullptr) return Change::kNone;
  note_lock(*standing, suspect.lock);
  if (!harmless) {
    standing->convicted = true;
    return unlearn(*standing);
  }
  if (standing->learnt) {
    // Due audits wait for one another, and sightings go on.
    standing->next_audit = std::max(standing->next_audit, standing->sightings) * kAuditGrowth;
    return Change::kNone;
  }
  if (++standing->harmless < row_needed(*standing)) return Change::kNone;
  standing->learnt = true;
  standing->sightings = 0;
  standing->next_audit = kFirstAudit;
  ++learnt_;
  return Change::kLearnt;
}

bool Interleavings::sighted(uint64_t key) {
  const auto found = standings_.find(key);
  if (found == standings_.end() || !found->second.learnt) return false;
  return ++found->second.sightings >= found->second.next_audit;
}

Interleavings::Change Interleavings::blame(uint64_t key) {
  const auto found = standings_.find(key);
  return found == standings_.end() ? Change::kNone : unlearn(found->second);
}

void Interleavings::restore(const Standing& standing) {
  const uint64_t key = wire::interleaving_key(standing.before, standing.between, standing.after);
  if (standings_.size() == kMaxStandings || !standings_.emplace(key, standing).second) return;
  if (standing.learnt) ++learnt_;
}

const Interleavings::Standing* Interleavings::find(uint64_t key) const {
  const auto found = standings_.find(key);
  return found == standings_.end() ? nullptr : &found->second;
}

}  // namespace evenkeel::host
