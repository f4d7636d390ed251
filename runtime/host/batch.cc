#include "runtime/host/batch.h"

#include <algorithm>
#include <utility>

namespace evenkeel::host {

void Batch::regroup(std::span<const uint32_t> groups) {
  wire::Input* const inputs = deck_.inputs;
  for (uint32_t i = 0; i < count_; ++i) inputs[i].group = groups[i];
  if (std::is_sorted(groups.begin(), groups.end())) return;
  // Counting sort: places_[g] is where the next input of group g goes.
  places_.assign(*std::max_element(groups.begin(), groups.end()) + 1, 0);
  for (const uint32_t group : groups) ++places_[group];
  uint32_t before = 0;
  for (uint32_t& place : places_) before += std::exchange(place, before);
  sorted_.assign(inputs, inputs + count_);
  for (uint32_t i = 0; i < count_; ++i) inputs[places_[groups[i]]++] = sorted_[i];
}

}  // namespace evenkeel::host
