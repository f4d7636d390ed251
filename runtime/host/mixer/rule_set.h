#pragma once
// The compiled requests of a rules file: from the text of a request to its footprint.
// Threads: one. Memory: the compiled patterns. Errors: none after compilation.
#include <re2/re2.h>
#include <re2/set.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/host/mixer/requests.h"

namespace evenkeel::host {

// A key of a rule. Group numbers are RE2's; 0: none.
struct RuleKey {
  std::string table;
  uint64_t space = 0;                           // its id
  mixer::Access access = mixer::Access::kRead;  // to the row, or to the table if there is no group
  int group = 0;
  std::string separator;
};

struct Rule {
  std::string kind;
  std::unique_ptr<RE2> pattern;
  std::vector<RuleKey> keys;
  bool everything = false;
  int body_group = 0;
  uint32_t body_extra = 0;
};

class RuleSet {
 public:
  // A request has at most this many groups that anybody looks at.
  static constexpr int kMaxGroups = 31;

  RuleSet(std::vector<Rule> rules, Reach unknown);

  // Adds the request that `text` is; the number of bytes that its line says will follow.
  uint64_t add(std::string_view text, Requests& out) const;

 private:
  [[nodiscard]] const Rule* find(std::string_view text) const;

  std::vector<Rule> rules_;
  Reach unknown_;
  std::unique_ptr<RE2::Set> patterns_;
  mutable std::vector<int> matching_;
};

}  // namespace evenkeel::host
