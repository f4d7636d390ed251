#include "runtime/kernel/address_map.h"

#include "runtime/core/arena.h"
#include "runtime/core/check.h"

namespace evenkeel::kernel {
namespace {

uint64_t largest_free_of(const Piece* piece) { return piece == nullptr ? 0 : piece->largest_free; }

void update(Piece& piece) {
  const uint64_t left = largest_free_of(piece.left);
  const uint64_t right = largest_free_of(piece.right);
  const uint64_t own = piece.attributes.kind == PieceKind::kFree ? piece.bytes() : 0;
  const uint64_t below = left > right ? left : right;
  piece.largest_free = own > below ? own : below;
}

// Pieces that begin below the address go left, the others right. Depth of recursion as of the tree:
// about 2 log2(pieces).
void split(Piece* tree, uint64_t address, Piece*& left, Piece*& right) {
  if (tree == nullptr) {
    left = right = nullptr;
  } else if (tree->begin < address) {
    split(tree->right, address, tree->right, right);
    left = tree;
    update(*tree);
  } else {
    split(tree->left, address, left, tree->left);
    right = tree;
    update(*tree);
  }
}

Piece* join(Piece* left, Piece* right) {
  if (left == nullptr) return right;
  if (right == nullptr) return left;
  Piece* top = left->priority >= right->priority ? left : right;
  if (top == left) {
    left->right = join(left->right, right);
  } else {
    right->left = join(left, right->left);
  }
  update(*top);
  return top;
}

const Piece* last_of(const Piece* tree) {
  while (tree != nullptr && tree->right != nullptr) tree = tree->right;
  return tree;
}
const Piece* first_of(const Piece* tree) {
  while (tree != nullptr && tree->left != nullptr) tree = tree->left;
  return tree;
}

// splitmix64's finalizer (Steele, Lea, Flood 2014): consecutive numbers become independent bits.
uint64_t scramble(uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

}  // namespace

void AddressMap::init(Range arena) {
  arena_ = arena;
  used_end_ = arena.begin;
  root_ = create(arena.begin, arena.end(), Attributes{});
}

Piece* AddressMap::create(uint64_t begin, uint64_t end, const Attributes& attributes) {
  auto* piece = arena::create<Piece>();
  piece->begin = begin;
  piece->end = end;
  piece->attributes = attributes;
  piece->priority = scramble(created_++);
  update(*piece);
  ++pieces_;
  return piece;
}

void AddressMap::destroy(Piece* subtree) {
  if (subtree == nullptr) return;
  destroy(subtree->left);
  destroy(subtree->right);
  arena::destroy(subtree);
  --pieces_;
}

const Piece& AddressMap::at(uint64_t address) const {
  EVENKEEL_CHECK(arena_.contains(address));
  const Piece* piece = root_;
  while (address < piece->begin || address >= piece->end) {
    piece = address < piece->begin ? piece->left : piece->right;
  }
  return *piece;
}

uint64_t AddressMap::first_fit(uint64_t bytes) const {
  const Piece* piece = root_;
  if (largest_free_of(piece) < bytes) return 0;
  for (;;) {
    if (largest_free_of(piece->left) >= bytes) {
      piece = piece->left;
    } else if (piece->attributes.kind == PieceKind::kFree && piece->bytes() >= bytes) {
      return piece->begin;
    } else {
      piece = piece->right;
    }
  }
}

// Makes the address the border of a piece.
void AddressMap::cut(uint64_t address) {
  if (address == arena_.begin || address == arena_.end()) return;
  if (at(address).begin == address) return;
  Piece* left = nullptr;
  Piece* right = nullptr;
  split(root_, address, left, right);
  // Taken out of its tree and put back, so that the sums on the way to it are renewed.
  Piece* cut_piece = nullptr;
  split(left, last_of(left)->begin, left, cut_piece);
  Piece* upper = create(address, cut_piece->end, cut_piece->attributes);
  cut_piece->end = address;
  update(*cut_piece);
  root_ = join(join(left, cut_piece), join(upper, right));
}

void AddressMap::set(Range range, const Attributes& attributes) {
  EVENKEEL_CHECK(range.bytes != 0);
  EVENKEEL_CHECK(range.begin >= arena_.begin && range.end() <= arena_.end());
  cut(range.begin);
  cut(range.end());
  uint64_t begin = range.begin;
  uint64_t end = range.end();
  Piece* below = nullptr;
  Piece* inside = nullptr;
  Piece* above = nullptr;
  split(root_, begin, below, inside);
  split(inside, end, inside, above);
  destroy(inside);
  const Piece* before = last_of(below);
  if (before != nullptr && before->attributes == attributes) {
    begin = before->begin;
    split(below, begin, below, inside);
    destroy(inside);
  }
  const Piece* after = first_of(above);
  if (after != nullptr && after->attributes == attributes) {
    end = after->end;
    split(above, end, inside, above);
    destroy(inside);
  }
  root_ = join(join(below, create(begin, end, attributes)), above);
  if (attributes.kind != PieceKind::kFree && range.end() > used_end_) used_end_ = range.end();
}

}  // namespace evenkeel::kernel
