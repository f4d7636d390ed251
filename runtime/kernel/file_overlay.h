#pragma once
// A regular file as the server sees it while a batch is not agreed: the real file, cut at
// `real_visible`, with the batch's own writes laid over it.
//
// Extents are sorted by offset and do not overlap. A write goes into the extents that cover it and
// makes new ones only for the gaps, in blocks that have room to grow, so that a log written line by
// line is one extent per block. Finding an extent starts at the one used last: sequential use is
// constant time, random use linear in the number of extents.
//
// Threads: kernel lock held. Memory: kernel arena, at most kMaxPendingBytes of data (and what the
// last block rounds up to) per file. Errors: a full overlay takes less than it is given.
#include <cstdint>

namespace evenkeel::kernel {

// Per file and batch. Beyond it the pending writes go to the file before the batch is agreed.
constexpr uint64_t kMaxPendingBytes = 16 << 20;

struct Extent {
  Extent* next;
  uint64_t offset;
  uint32_t bytes;
  uint32_t capacity;
  [[nodiscard]] uint64_t end() const { return offset + bytes; }
  [[nodiscard]] uint8_t* data() { return reinterpret_cast<uint8_t*>(this + 1); }
};

class Overlay {
 public:
  // All-zero is the overlay of an empty file.
  void reset(uint64_t real_size);  // drops every pending change

  // Returns how many bytes were taken: all, unless the overlay is full.
  uint64_t write(uint64_t offset, const void* data, uint64_t bytes);
  void truncate(uint64_t size);  // shorter or longer
  // Puts the pending bytes of [offset, offset + bytes) over what was read from the real file.
  template <typename Visit>
  void for_each(uint64_t offset, uint64_t bytes, Visit visit) const {
    for (Extent* e = first_; e != nullptr && e->offset < offset + bytes; e = e->next) {
      const uint64_t from = e->offset > offset ? e->offset : offset;
      const uint64_t to = e->end() < offset + bytes ? e->end() : offset + bytes;
      if (from < to) visit(from, e->data() + (from - e->offset), to - from);
    }
  }

  [[nodiscard]] uint64_t size() const { return size_; }
  // Bytes of the real file that still show, and its size when the batch began.
  [[nodiscard]] uint64_t real_visible() const { return real_visible_; }
  [[nodiscard]] uint64_t real_size() const { return real_size_; }
  [[nodiscard]] uint64_t pending_bytes() const { return pending_bytes_; }
  [[nodiscard]] bool changed() const {
    return first_ != nullptr || size_ != real_size_ || real_visible_ != real_size_;
  }

 private:
  Extent* last_before(uint64_t offset) const;
  void drop_after(Extent* extent);
  uint32_t fill_gap(Extent* previous, uint64_t offset, const uint8_t* data, uint64_t bytes);

  Extent* first_ = nullptr;
  Extent* hint_ = nullptr;  // used last; null or in the list
  uint64_t size_ = 0;
  uint64_t real_size_ = 0;
  uint64_t real_visible_ = 0;
  uint64_t pending_bytes_ = 0;
};

}  // namespace evenkeel::kernel
