#pragma once
// The Merkle tree: arrays of digests, one per level, sparse in kTreeArena, and the undo log.
// Threads: the pump. Memory: kTreeArena, mapped by map(). Errors: the kernel's errno from map().
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/wire.h"

namespace evenkeel::verify {

constexpr uint64_t kLeavesLog2 = 32;  // 16 TiB of hashed address space
constexpr uint64_t kFanOutLog2 = 4;   // 16 x 16 B = 256 B hashed per inner node
constexpr uint64_t kFanOut = uint64_t{1} << kFanOutLog2;
constexpr uint64_t kLevels = kLeavesLog2 / kFanOutLog2;  // above the leaves
static_assert(kLeavesLog2 % kFanOutLog2 == 0);

// Changes of leaves between two settle(), a leaf that changes twice counting twice: 256 GiB of
// pages. 64 Mi x (32 B log + 24 B list + 2 x 8 B scratch) = 4.5 GiB of address space.
constexpr uint64_t kMaxUndo = uint64_t{1} << 26;

class Tree {
 public:
  sys::Result map();

  // Sets a leaf and logs its old value under the page's name. Leaves paths stale until climb().
  void set_leaf(uint64_t position, uint64_t page, wire::Token value);
  // Recomputes the inner nodes above the leaves set since the last climb().
  void climb();
  [[nodiscard]] wire::Token leaf(uint64_t position) const { return level_[0][position]; }
  [[nodiscard]] wire::Token root() const { return level_[kLevels][0]; }

  // Where it lies: the same address in every replica.
  [[nodiscard]] const wire::Token* root_address() const { return level_[kLevels]; }

  void settle();
  void undo();
  // Lists leaves that differ from the settled ones, ascending by page.
  size_t changed(const wire::Leaf*& leaves);

 private:
  struct Change {
    uint64_t position;
    uint64_t page;
    wire::Token before;
  };

  void mark_stale(uint64_t position);
  size_t parents_of(size_t count);

  wire::Token* level_[kLevels + 1] = {};  // [0]: leaves
  Change* log_ = nullptr;
  uint64_t log_count_ = 0;
  uint64_t* stale_ = nullptr;  // positions of leaves set since the last climb()
  uint64_t stale_count_ = 0;
  bool stale_sorted_ = true;
  uint64_t* order_ = nullptr;  // indices into log_, for changed()
  wire::Leaf* listed_ = nullptr;
};

}  // namespace evenkeel::verify
