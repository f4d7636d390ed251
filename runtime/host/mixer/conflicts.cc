#include "runtime/host/mixer/conflicts.h"

#include <fmt/format.h>

#include <algorithm>

namespace evenkeel::host {
namespace {

std::string text_of(const Conflicts::Side& side) {
  return side.word == 0 ? side.kind : fmt::format("{} {}", side.kind, side.word);
}

}  // namespace

Conflicts::Pair Conflicts::pair_of(Side one, Side other) {
  if (other < one) std::swap(one, other);
  return {std::move(one), std::move(other)};
}

bool Conflicts::next_batch() {
  if (++now_ < next_end_) return false;
  for (auto& [pair, standing] : all_) {
    if (standing.until <= now_) standing.until = 0;
  }
  index();
  return true;
}

bool Conflicts::learn(const Pair& pair) {
  const auto found = all_.find(pair);
  if (found != all_.end() && found->second.until != 0) return false;
  if (found == all_.end()) make_room();
  Standing& standing = all_[pair];
  if (found != all_.end()) ++standing.confirmed;
  standing.until = now_ + (kFirstLife << std::min(standing.confirmed - 1, kMaxDoublings));
  index();
  return true;
}

void Conflicts::restore(const Pair& pair, uint32_t confirmed, uint64_t batches_left) {
  if (all_.size() == kMost) return;
  confirmed = std::max(confirmed, 1U);
  const uint64_t most = kFirstLife << kMaxDoublings;
  all_[pair] = {confirmed, batches_left == 0 ? 0 : now_ + std::min(batches_left, most)};
  index();
}

void Conflicts::make_room() {
  if (all_.size() < kMost) return;
  all_.erase(std::min_element(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
    return a.second.until < b.second.until;
  }));
}

uint64_t Conflicts::count() const {
  return static_cast<uint64_t>(std::count_if(
      all_.begin(), all_.end(), [](const auto& entry) { return entry.second.until != 0; }));
}

// The two sides of a pair conflict with each other, not with their like: as readers of a key do
// with those who add to it.
void Conflicts::index() {
  parts_.clear();
  next_end_ = UINT64_MAX;
  for (const auto& [pair, standing] : all_) {
    if (standing.until == 0) continue;
    next_end_ = std::min(next_end_, standing.until);
    const auto& [first, second] = pair;
    const bool alike = first == second;
    const std::string space =
        alike ? text_of(first) : fmt::format("{} with {}", text_of(first), text_of(second));
    const uint64_t id = mixer::key_id(mixer::kRootSpace, space);
    const auto access = alike ? mixer::Access::kWrite : mixer::Access::kRead;
    parts_[first.kind].push_back({space, id, first.word, access});
    if (!alike) parts_[second.kind].push_back({space, id, second.word, mixer::Access::kAdd});
  }
}

std::string_view Conflicts::known_kind(std::string_view kind) const {
  const auto parts = parts_.find(kind);
  return parts == parts_.end() ? std::string_view("(nothing learnt)") : parts->first;
}

void Conflicts::add_keys(const Phrase& phrase, Requests& out) const {
  const auto parts = parts_.find(phrase.kind);
  if (parts == parts_.end()) return;
  for (const Part& part : parts->second) {
    if (!phrase.has(part.word)) continue;
    out.key({part.space, part.space_id},
            part.word == 0 ? std::string_view{} : phrase.word(part.word), part.access);
  }
}

}  // namespace evenkeel::host
