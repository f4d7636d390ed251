#include "verify/masks.h"

#include <algorithm>
#include <cstring>

namespace evenkeel::verify {

void Masks::clear() {
  now_.count = settled_.count = changed_count_ = 0;
  now_.longest_bytes = settled_.longest_bytes = 0;
  differs_ = false;
}

size_t Masks::lower_bound(uint64_t begin) const {
  const Range* const found =
      std::lower_bound(now_.ranges, now_.ranges + now_.count, begin,
                       [](const Range& range, uint64_t value) { return range.begin < value; });
  return static_cast<size_t>(found - now_.ranges);
}

size_t Masks::find(Range range) const {
  size_t i = lower_bound(range.begin);
  for (; i < now_.count && now_.ranges[i].begin == range.begin; ++i) {
    if (now_.ranges[i].bytes == range.bytes) return i;
  }
  return now_.count;
}

void Masks::note(Range range) {
  differs_ = true;
  changed_[changed_count_++] = range;
}

sys::Result Masks::add(Range range) {
  if (range.bytes == 0 || range.end() < range.begin) return sys::Result(-EINVAL);
  if (find(range) != now_.count) return sys::Result(0);
  if (now_.count == kMaxIgnored || changes_full()) return sys::Result(-ENOSPC);
  const size_t slot = lower_bound(range.begin);
  memmove(&now_.ranges[slot + 1], &now_.ranges[slot], (now_.count - slot) * sizeof(Range));
  now_.ranges[slot] = range;
  ++now_.count;
  now_.longest_bytes = std::max(now_.longest_bytes, range.bytes);
  note(range);
  return sys::Result(0);
}

sys::Result Masks::remove(Range range) {
  const size_t slot = find(range);
  if (slot == now_.count) return sys::Result(-ENOENT);
  if (changes_full()) return sys::Result(-ENOSPC);
  memmove(&now_.ranges[slot], &now_.ranges[slot + 1], (now_.count - slot - 1) * sizeof(Range));
  --now_.count;  // longest_bytes stays: a bound
  note(range);
  return sys::Result(0);
}

void Masks::settle() {
  if (differs_) settled_ = now_;
  differs_ = false;
}

void Masks::undo() {
  if (differs_) now_ = settled_;
  differs_ = false;
  changed_count_ = 0;
}

bool Masks::apply(uint64_t page, uint8_t* copy) const {
  if (now_.count == 0) return false;
  const uint64_t lowest = page > now_.longest_bytes ? page - now_.longest_bytes : 0;
  bool masked = false;
  for (size_t i = lower_bound(lowest); i < now_.count; ++i) {
    const Range& range = now_.ranges[i];
    if (range.begin >= page + kPageBytes) break;
    if (range.end() <= page) continue;
    if (!masked) memcpy(copy, reinterpret_cast<const void*>(page), kPageBytes);
    masked = true;
    const uint64_t begin = std::max(range.begin, page);
    const uint64_t end = std::min(range.end(), page + kPageBytes);
    memset(copy + (begin - page), 0, end - begin);
  }
  return masked;
}

}  // namespace evenkeel::verify
