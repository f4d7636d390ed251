#include "snapshot/image.h"

#include <emmintrin.h>
#include <sys/mman.h>

#include <cstring>

#include "snapshot/bits.h"

namespace evenkeel::snapshot::image {
namespace {

void copy_past_caches(void* to, const void* from) {
  auto* out = static_cast<__m128i*>(to);
  const auto* in = static_cast<const __m128i*>(from);
  for (size_t i = 0; i < kPageBytes / sizeof(__m128i); i += 4) {  // a cache line
    const __m128i a = _mm_load_si128(in + i);
    const __m128i b = _mm_load_si128(in + i + 1);
    const __m128i c = _mm_load_si128(in + i + 2);
    const __m128i d = _mm_load_si128(in + i + 3);
    _mm_stream_si128(out + i, a);
    _mm_stream_si128(out + i + 1, b);
    _mm_stream_si128(out + i + 2, c);
    _mm_stream_si128(out + i + 3, d);
  }
}

}  // namespace

bool is_zero(const void* page) {
  const auto* words = static_cast<const uint64_t*>(page);
  constexpr size_t kWords = kPageBytes / sizeof(uint64_t);
  constexpr size_t kStep = 8;  // one cache line; most pages are told by the first
  for (size_t i = 0; i < kWords; i += kStep) {
    uint64_t any = 0;
    for (size_t k = 0; k < kStep; ++k) any |= words[i + k];
    if (any != 0) return false;
  }
  return true;
}

bool equals(const Region& region, uint64_t page) {
  const void* memory = as_pointer(page);
  if (!test_bit(region.has_image, region.page_index(page))) return is_zero(memory);
  return memcmp(memory, region.image_at(page), kPageBytes) == 0;
}

void finish_stores() { _mm_sfence(); }

bool store(Region& region, uint64_t page, Copy copy, bool keep_zero) {
  const uint64_t index = region.page_index(page);
  const void* memory = as_pointer(page);
  const bool had = test_bit(region.has_image, index);
  if ((!had || !keep_zero) && is_zero(memory)) {
    clear_bit(region.has_image, index);
    return had;
  }
  if (copy == Copy::kCached) memcpy(region.image_at(page), memory, kPageBytes);
  if (copy == Copy::kPastCaches) copy_past_caches(region.image_at(page), memory);
  set_bit(region.has_image, index);
  return false;
}

void load(const Region& region, uint64_t page) {
  void* memory = as_pointer(page);
  if (test_bit(region.has_image, region.page_index(page))) {
    memcpy(memory, region.image_at(page), kPageBytes);
  } else {
    memset(memory, 0, kPageBytes);
  }
}

void Releaser::add(const Region& region, uint64_t page) {
  uint8_t* at = region.image_at(page);
  const bool hashed = region.kind == Kind::kHashed;
  if (at != end_ || hashed != hashed_) {
    flush();
    begin_ = at;
    hashed_ = hashed;
  }
  end_ = at + kPageBytes;
}

void Releaser::flush() {
  if (begin_ == end_) return;
  const int advice = hashed_ && shared_file_ ? MADV_REMOVE : MADV_DONTNEED;
  // Best effort: what stays is memory that nobody reads.
  sys::madvise(begin_, static_cast<size_t>(end_ - begin_), advice).ignore();
  begin_ = end_ = nullptr;
}

}  // namespace evenkeel::snapshot::image
