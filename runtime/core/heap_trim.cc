// What free pages hold, and giving their memory back.
//
// A free run is returned in two steps, both in apply_remote_frees(), that is between batches:
//   kDirty   freed. After kTrimAge batches its touched pages are overwritten with zeros: an
//            ordinary write, seen by the snapshot, undone by a rollback, done by every replica.
//   kZeroed  One batch later those zeros are committed (a batch begins only from a committed
//            state), so memory and image both hold zeros and the pages can be dropped: their
//            content does not change, whatever becomes of this batch.
//   kClean   Zero; nothing to do.
// Dropping without that detour would change content behind the back of the snapshot and of the
// Merkle tree.
#include <emmintrin.h>
#include <sys/mman.h>

#include <cstring>

#include "runtime/core/heap_state.h"
#include "runtime/core/sys.h"

namespace evenkeel::heap {
namespace {

constexpr uint32_t kTrimAge = 64;       // batches: what is used again soon is not worth returning
constexpr uint64_t kMinTrimPages = 16;  // smaller runs stay as they are: spans soon use them again
// Zeroed per lane and batch: 64 x (0.1 us to clear + 2 us for the snapshot) = 0.14 ms.
constexpr uint64_t kZeroPagesPerBatch = 64;

constexpr uint64_t kAllOnes = UINT64_MAX;

// Calls visit(word, mask) for each word of `touched` that holds bits of the pages, until it says
// false. Segments are whole words, so lanes never share one.
template <typename Visit>
void visit_touched(uint64_t first, uint64_t pages, Visit visit) {
  const uint64_t end = first + pages;
  for (uint64_t page = first; page < end;) {
    const uint64_t next = (page / 64 + 1) * 64;
    uint64_t mask = kAllOnes << page % 64;
    if (end < next) mask &= kAllOnes >> (next - end);
    if (!visit(page / 64, mask)) return;
    page = next;
  }
}

bool is_zero(uint64_t address, uint64_t bytes) {
  __m128i any = _mm_setzero_si128();
  const uint64_t end = address + bytes;
  for (; end - address >= 128; address += 128) {
    const auto* const at = reinterpret_cast<const __m128i*>(address);
    for (int i = 0; i < 8; ++i) any = _mm_or_si128(any, _mm_load_si128(at + i));
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) != 0xffff) return false;
  }
  for (; address != end; address += 16) {
    any = _mm_or_si128(any, _mm_load_si128(reinterpret_cast<const __m128i*>(address)));
  }
  return _mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) == 0xffff;
}

SpanList& list_of(Lane& lane, Phase phase) {
  return phase == Phase::kDirty ? lane.dirty : lane.zeroed;
}

void list_append(Lane& lane, Span* run) {
  SpanList& list = list_of(lane, run->phase);
  run->trim.older = list.last;
  run->trim.newer = nullptr;
  (list.last != nullptr ? list.last->trim.newer : list.first) = run;
  list.last = run;
  run->listed = true;
  run->epoch = root().epoch;
  root().trimming.add(index_of(lane));
}

void list_remove(Lane& lane, Span* run) {
  SpanList& list = list_of(lane, run->phase);
  (run->trim.older != nullptr ? run->trim.older->trim.newer : list.first) = run->trim.newer;
  (run->trim.newer != nullptr ? run->trim.newer->trim.older : list.last) = run->trim.older;
  run->listed = false;
}

// Zeroes up to `budget` touched pages of the run, takes them off the budget; true if none is left.
bool zero_some(const Span* run, uint64_t& budget) {
  bool done = true;
  visit_touched(page_of(run->begin), run->pages, [&](uint64_t word, uint64_t mask) {
    uint64_t& bits = touched_words()[word];
    for (uint64_t left = bits & mask; left != 0; left &= left - 1) {
      if (budget == 0) {
        done = false;
        return false;
      }
      --budget;
      const auto bit = static_cast<uint32_t>(__builtin_ctzll(left));
      zero_sparse(address_of(word * 64 + bit), kPageBytes);
      bits &= ~(uint64_t{1} << bit);
    }
    return true;
  });
  return done;
}

uint32_t age_of(const Span* run) { return root().epoch - run->epoch; }

}  // namespace

bool any_touched(uint64_t first_page, uint64_t pages) {
  bool any = false;
  visit_touched(first_page, pages, [&](uint64_t word, uint64_t mask) {
    any = (touched_words()[word] & mask) != 0;
    return !any;
  });
  return any;
}

void set_touched(uint64_t first_page, uint64_t pages) {
  visit_touched(first_page, pages, [](uint64_t word, uint64_t mask) {
    touched_words()[word] |= mask;
    return true;
  });
}

void zero_touched(uint64_t first_page, uint64_t pages) {
  visit_touched(first_page, pages, [](uint64_t word, uint64_t mask) {
    for (uint64_t left = touched_words()[word] & mask; left != 0; left &= left - 1) {
      zero_sparse(address_of(word * 64 + static_cast<uint32_t>(__builtin_ctzll(left))), kPageBytes);
    }
    return true;
  });
}

void zero_sparse(uint64_t address, uint64_t bytes) {
  // A page that is written is copied and hashed at the end of the batch, which costs far more than
  // reading it here; most of a large buffer was often never used.
  while (bytes != 0) {
    const uint64_t left = page_floor(address) + kPageBytes - address;
    const uint64_t piece = left < bytes ? left : bytes;
    if (!is_zero(address, piece)) std::memset(reinterpret_cast<void*>(address), 0, piece);
    address += piece;
    bytes -= piece;
  }
}

void trim_forget(Lane& lane, Span* run) {
  if (run->listed) list_remove(lane, run);
}

void trim_note(Lane& lane, Span* run, Phase phase, uint64_t pages) {
  if (phase < run->phase) phase = run->phase;
  if (run->listed && run->phase == phase) return;  // it keeps its age
  trim_forget(lane, run);
  run->phase = phase;
  if (phase != Phase::kClean && pages >= kMinTrimPages) list_append(lane, run);
}

void trim(Lane& lane) {
  // Listed by an earlier call, and not touched by anybody since.
  while (lane.zeroed.first != nullptr) {
    Span* const run = lane.zeroed.first;
    list_remove(lane, run);
    run->phase = Phase::kClean;
    // Can only fail for want of kernel memory; then the zeros stay where they are.
    sys::madvise(reinterpret_cast<void*>(run->begin), run->bytes(), MADV_DONTNEED).ignore();
  }
  uint64_t budget = kZeroPagesPerBatch;
  while (lane.dirty.first != nullptr && age_of(lane.dirty.first) >= kTrimAge) {
    Span* const run = lane.dirty.first;
    if (!zero_some(run, budget)) return;
    list_remove(lane, run);
    run->phase = Phase::kZeroed;
    list_append(lane, run);
  }
}

bool trim_pending(const Lane& lane) {
  return lane.dirty.first != nullptr || lane.zeroed.first != nullptr;
}

}  // namespace evenkeel::heap
