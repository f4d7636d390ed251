#include "runtime/host/mixer/requests.h"

#include <fmt/format.h>

#include <algorithm>

namespace evenkeel::host {

void Requests::key(const Space& space, std::string_view bytes, mixer::Access access) {
  keys_.push_back({mixer::key_id(space.id, bytes), access});
  if (texts_kept_) texts_.push_back(fmt::format("{}/{}", space.name, bytes));
}

void Requests::write_from(size_t key) {
  for (; key < keys_.size(); ++key) keys_[key].access = mixer::Access::kWrite;
}

void Requests::resume(std::string_view kind, Reach reach, std::span<const mixer::Key> keys) {
  begin(kind);
  requests_.back().reach = reach;
  requests_.back().continued = true;
  keys_.insert(keys_.end(), keys.begin(), keys.end());
  if (texts_kept_) texts_.resize(keys_.size(), "(named before)");
}

Reach Requests::reach() const {
  Reach widest = Reach::kKeys;
  for (const Request& request : requests_) widest = std::max(widest, request.reach);
  return widest;
}

}  // namespace evenkeel::host
