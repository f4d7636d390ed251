#pragma once
// The byte ranges that are masked before hashing, as of the last settle() and as of now.
// Threads: the pump. Memory: static, 32 KiB. Errors: ENOSPC, ENOENT, EINVAL.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "verify/verify.h"

namespace evenkeel::verify {

class Masks {
 public:
  void clear();
  sys::Result add(Range range);
  sys::Result remove(Range range);
  void settle();
  void undo();

  // Calls visit(range) for each range that add() or remove() changed since the last call.
  template <typename Visit>
  void take_changed(Visit visit) {
    for (size_t i = 0; i < changed_count_; ++i) visit(changed_[i]);
    changed_count_ = 0;
  }
  [[nodiscard]] bool changes_full() const { return changed_count_ == kMaxIgnored; }

  // If a masked byte lies in the page: copies the page to `copy` with those bytes zeroed, true.
  bool apply(uint64_t page, uint8_t* copy) const;

 private:
  struct Set {
    size_t count;
    uint64_t longest_bytes;     // bounds how far below a page a range that reaches it can begin
    Range ranges[kMaxIgnored];  // by begin; may overlap
  };
  [[nodiscard]] size_t lower_bound(uint64_t begin) const;
  [[nodiscard]] size_t find(Range range) const;
  void note(Range range);

  Set now_ = {};
  Set settled_ = {};
  bool differs_ = false;  // now_ from settled_
  size_t changed_count_ = 0;
  Range changed_[kMaxIgnored] = {};
};

}  // namespace evenkeel::verify
