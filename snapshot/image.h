#pragma once
// One page between memory and its committed image. Image pages that do not exist (has_image clear)
// stand for zeros and are never read: reading a hole of a shared file would allocate it.
#include <cstdint>

#include "snapshot/region.h"

namespace evenkeel::snapshot::image {

[[nodiscard]] bool is_zero(const void* page);
[[nodiscard]] bool equals(const Region& region, uint64_t page);
enum class Copy : uint8_t {
  kNone,        // another replica copies; only the books are kept
  kCached,      // the image will be compared with memory in the next batches
  kPastCaches,  // the image is read by a rollback only: leave the caches to the server
};
// Memory to image. True if the image is not needed any more (all zero) and its memory should be
// given back.
bool store(Region& region, uint64_t page, Copy copy, bool keep_zero);
// After the last store: until then those past the caches may be seen late by other threads.
void finish_stores();
// Image to memory.
void load(const Region& region, uint64_t page);

// Gives image memory back, several adjacent pages in one call.
class Releaser {
 public:
  explicit Releaser(bool shared_file) : shared_file_(shared_file) {}
  ~Releaser() { flush(); }
  Releaser(const Releaser&) = delete;
  Releaser& operator=(const Releaser&) = delete;
  void add(const Region& region, uint64_t page);

 private:
  void flush();

  bool shared_file_;
  bool hashed_ = false;
  uint8_t* begin_ = nullptr;
  uint8_t* end_ = nullptr;
};

}  // namespace evenkeel::snapshot::image
