#pragma once
// The requests that were found in a connection's bytes, and their footprints.
// Threads: the coordinator's only one. Memory: lists that keep their capacity. Errors: none.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mixer/mixer.h"

namespace evenkeel::host {

struct Space {
  std::string_view name;
  uint64_t id;

  [[nodiscard]] static Space named(std::string_view name) {
    return {name, mixer::key_id(mixer::kRootSpace, name)};
  }
};

enum class Reach : uint32_t {
  kKeys,        // its keys are all that it touches
  kUnknown,     // nobody can tell: what that means follows from --order
  kEverything,  // it conflicts with all others
};

class Requests {
 public:
  struct Request {
    std::string_view kind;  // lives as long as the dialect
    Reach reach = Reach::kKeys;
    uint32_t first_key = 0;  // its keys end where those of the next request begin
    bool continued = false;  // began in earlier bytes
  };

  void clear() {
    requests_.clear();
    keys_.clear();
    texts_.clear();
  }

  void begin(std::string_view kind) {
    requests_.push_back({kind, Reach::kKeys, static_cast<uint32_t>(keys_.size()), false});
  }
  // Of the request that began last, as all that follow.
  void name(std::string_view kind) { requests_.back().kind = kind; }
  void key(const Space& space, std::string_view bytes, mixer::Access access);
  void write_from(size_t key);  // this key and those behind it are written
  void unknown() { reach(Reach::kUnknown); }
  void everything() { reach(Reach::kEverything); }
  void reach(Reach reach) { requests_.back().reach = std::max(requests_.back().reach, reach); }
  // The rest of a request, with the keys that it is known to have.
  void resume(std::string_view kind, Reach reach, std::span<const mixer::Key> keys);

  [[nodiscard]] size_t count() const { return requests_.size(); }
  [[nodiscard]] const Request& at(size_t i) const { return requests_[i]; }
  [[nodiscard]] std::span<const mixer::Key> keys_of(size_t i) const {
    return std::span(keys_).subspan(requests_[i].first_key, end_of(i) - requests_[i].first_key);
  }
  // Of all of them.
  [[nodiscard]] std::span<const mixer::Key> keys() const { return keys_; }
  [[nodiscard]] Reach reach() const;

  // Keys are remembered as text, too, as "space/bytes".
  void keep_texts() { texts_kept_ = true; }
  [[nodiscard]] const std::string& text_of(size_t key) const { return texts_[key]; }

 private:
  [[nodiscard]] size_t end_of(size_t i) const {
    return i + 1 < requests_.size() ? requests_[i + 1].first_key : keys_.size();
  }

  std::vector<Request> requests_;
  std::vector<mixer::Key> keys_;
  std::vector<std::string> texts_;
  bool texts_kept_ = false;
};

}  // namespace evenkeel::host
