#include "runtime/kernel/byte_queue.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/core/arena.h"

namespace evenkeel::kernel {

void scatter(const Buffers& out, size_t skip, const void* from, size_t count) {
  const auto* source = static_cast<const uint8_t*>(from);
  for (uint32_t i = 0; i < out.count && count != 0; ++i) {
    const size_t length = out.vectors[i].iov_len;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const size_t piece = std::min(length - skip, count);
    std::memcpy(static_cast<uint8_t*>(out.vectors[i].iov_base) + skip, source, piece);
    source += piece;
    count -= piece;
    skip = 0;
  }
}

void ByteQueue::reserve(uint32_t wanted) {
  if (wanted <= capacity) return;
  constexpr uint32_t kSmallest = 512;
  const uint32_t grown = std::bit_ceil(std::max(wanted, kSmallest));
  auto* bigger = static_cast<uint8_t*>(arena::allocate(grown));
  const iovec all{bigger, size};
  take(Buffers{&all, 1}, false);
  if (data != nullptr) arena::release(data, capacity);
  data = bigger;
  capacity = grown;
  begin = 0;
}

uint32_t ByteQueue::append(const void* bytes, uint32_t count, uint32_t limit) {
  const uint32_t accepted = std::min(count, limit > size ? limit - size : 0);
  if (accepted == 0) return 0;
  reserve(size + accepted);
  const uint32_t at = (begin + size) & (capacity - 1);
  const uint32_t first = std::min(accepted, capacity - at);
  std::memcpy(data + at, bytes, first);
  std::memcpy(data, static_cast<const uint8_t*>(bytes) + first, accepted - first);
  size += accepted;
  return accepted;
}

uint32_t ByteQueue::take(const Buffers& out, bool consume) {
  const auto count = static_cast<uint32_t>(std::min<size_t>(out.total(), size));
  const uint32_t first = std::min(count, capacity - begin);
  scatter(out, 0, data + begin, first);
  scatter(out, first, data, count - first);
  if (consume) {
    size -= count;
    begin = size == 0 ? 0 : (begin + count) & (capacity - 1);
  }
  return count;
}

void ByteQueue::clear() {
  if (data != nullptr) arena::release(data, capacity);
  *this = {};
}

}  // namespace evenkeel::kernel
