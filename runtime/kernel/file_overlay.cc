#include "runtime/kernel/file_overlay.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/core/arena.h"

namespace evenkeel::kernel {
namespace {

// A block is a page at least, so that small writes in a row share one, and 64 KiB at most, so that
// one arena size class does not grow without bound.
constexpr uint64_t kMinBlockBytes = 4096;
constexpr uint64_t kMaxBlockBytes = 64 << 10;

Extent* make_extent(uint64_t offset, uint64_t wanted) {
  const uint64_t block =
      std::clamp(std::bit_ceil(wanted + sizeof(Extent)), kMinBlockBytes, kMaxBlockBytes);
  auto* extent = static_cast<Extent*>(arena::allocate(block));
  extent->offset = offset;
  extent->capacity = static_cast<uint32_t>(block - sizeof(Extent));
  return extent;
}

void free_extent(Extent* extent) { arena::release(extent, extent->capacity + sizeof(Extent)); }

}  // namespace

void Overlay::reset(uint64_t real_size) {
  while (first_ != nullptr) {
    Extent* extent = first_;
    first_ = extent->next;
    free_extent(extent);
  }
  hint_ = nullptr;
  size_ = real_size_ = real_visible_ = real_size;
  pending_bytes_ = 0;
}

// The last extent that begins at or before the offset; null if none does.
Extent* Overlay::last_before(uint64_t offset) const {
  Extent* found = hint_ != nullptr && hint_->offset <= offset ? hint_ : nullptr;
  Extent* next = found != nullptr ? found->next : first_;
  while (next != nullptr && next->offset <= offset) {
    found = next;
    next = next->next;
  }
  return found;
}

// Bytes at [offset, offset + bytes) belong to no extent. Takes as many as one extent can: the
// previous one if it ends here and has room, else a new one.
uint32_t Overlay::fill_gap(Extent* previous, uint64_t offset, const uint8_t* data, uint64_t bytes) {
  Extent* target = previous;
  if (previous == nullptr || previous->end() != offset || previous->bytes == previous->capacity) {
    target = make_extent(offset, bytes);
    Extent*& link = previous != nullptr ? previous->next : first_;
    target->next = link;
    link = target;
  }
  const uint64_t room = target->capacity - target->bytes;
  const auto taken = static_cast<uint32_t>(std::min(bytes, room));
  std::memcpy(target->data() + target->bytes, data, taken);
  target->bytes += taken;
  pending_bytes_ += taken;
  hint_ = target;
  return taken;
}

uint64_t Overlay::write(uint64_t offset, const void* data, uint64_t bytes) {
  const auto* from = static_cast<const uint8_t*>(data);
  uint64_t done = 0;
  while (done < bytes) {
    const uint64_t at = offset + done;
    Extent* extent = last_before(at);
    uint64_t piece = bytes - done;
    if (extent != nullptr && at < extent->end()) {
      piece = std::min(piece, extent->end() - at);
      std::memcpy(extent->data() + (at - extent->offset), from + done, piece);
      hint_ = extent;
    } else {
      const Extent* following = extent != nullptr ? extent->next : first_;
      if (following != nullptr) piece = std::min(piece, following->offset - at);
      piece = std::min(piece, kMaxPendingBytes - pending_bytes_);
      if (piece == 0) break;
      piece = fill_gap(extent, at, from + done, piece);
    }
    done += piece;
  }
  size_ = std::max(size_, offset + done);
  return done;
}

void Overlay::drop_after(Extent* extent) {
  Extent*& link = extent != nullptr ? extent->next : first_;
  while (link != nullptr) {
    Extent* dropped = link;
    link = dropped->next;
    pending_bytes_ -= dropped->bytes;
    free_extent(dropped);
  }
}

void Overlay::truncate(uint64_t size) {
  if (size < size_) {
    Extent* kept = size != 0 ? last_before(size - 1) : nullptr;
    hint_ = kept;
    drop_after(kept);
    if (kept != nullptr && kept->end() > size) {
      const auto cut = static_cast<uint32_t>(kept->end() - size);
      kept->bytes -= cut;
      pending_bytes_ -= cut;
    }
    real_visible_ = std::min(real_visible_, size);
  }
  size_ = size;
}

}  // namespace evenkeel::kernel
