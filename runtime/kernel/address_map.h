#pragma once
// What lies where in one arena of address space: an ordered set of pieces that tile the arena
// without gaps. Neighbours with equal attributes are one piece.
//
// A treap by address, each node knowing the largest free piece below it, so that the lowest free
// piece that is large enough is found in O(log n). Priorities come from a counter in the map: the
// shape, and the order in which nodes are allocated, depend on the operations alone.
//
// Threads: callers hold the kernel lock. Memory: kernel arena (tracked), one block a piece.
// Errors: none but a full kernel arena, which is fatal.
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::kernel {

enum class PieceKind : uint8_t {
  kFree = 0,
  kAnonymous,
  kFile,      // a real, private, read-only mapping of a file
  kReleased,  // unmapped in a batch that is not committed: a rollback brings it back
};

struct Attributes {
  PieceKind kind;
  uint8_t protection;    // PROT_ bits as the application asked
  uint32_t epoch;        // kFile: see Spaces::epoch
  uint64_t content_end;  // kFile: address where the file's content ends, page aligned

  friend constexpr bool operator==(const Attributes&, const Attributes&) = default;
};

struct Piece {
  uint64_t begin;
  uint64_t end;
  Attributes attributes;
  // The map's own.
  uint64_t largest_free;  // piece of this subtree, in bytes
  Piece* left;
  Piece* right;
  uint64_t priority;  // no smaller than the children's

  [[nodiscard]] uint64_t bytes() const { return end - begin; }
};

class AddressMap {
 public:
  // In zeroed memory. The whole arena becomes one free piece.
  void init(Range arena);

  // The piece that contains the address, which lies in the arena.
  [[nodiscard]] const Piece& at(uint64_t address) const;
  // Begin of the lowest free range of that size; 0 if there is none.
  [[nodiscard]] uint64_t first_fit(uint64_t bytes) const;
  // Gives the whole range, whatever it held, these attributes. Invalidates references to pieces.
  void set(Range range, const Attributes& attributes);

  // Visits the parts of pieces inside the range, in ascending order: visit(Range, Attributes).
  // The visitor may call set() on what it has been given.
  template <typename Visit>
  void visit(Range range, Visit&& visitor) const {
    for (uint64_t at_address = range.begin; at_address < range.end();) {
      const Piece& piece = at(at_address);
      const uint64_t end = piece.end < range.end() ? piece.end : range.end();
      const Attributes attributes = piece.attributes;
      visitor(Range{at_address, end - at_address}, attributes);
      at_address = end;
    }
  }

  [[nodiscard]] const Range& arena() const { return arena_; }
  // Everything beyond has never been anything but free.
  [[nodiscard]] uint64_t used_end() const { return used_end_; }
  [[nodiscard]] uint32_t pieces() const { return pieces_; }

 private:
  Piece* create(uint64_t begin, uint64_t end, const Attributes& attributes);
  void destroy(Piece* subtree);
  void cut(uint64_t address);

  Range arena_;
  Piece* root_;
  uint64_t used_end_;
  uint32_t pieces_;
  uint32_t created_;  // source of priorities
};

}  // namespace evenkeel::kernel
