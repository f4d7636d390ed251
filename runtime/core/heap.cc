#include "runtime/core/heap.h"

#include <emmintrin.h>
#include <sys/mman.h>

#include <cstring>

#include "runtime/core/heap_state.h"
#include "runtime/core/sys.h"

namespace evenkeel::heap {
namespace {

// Set by init() and never again: constant as far as a rollback is concerned.
constinit const Hooks* g_hooks = nullptr;

// ThreadSanitizer reserves every gap of the address space; see layout.h.
#ifdef __SANITIZE_THREAD__
constexpr int kFixed = MAP_FIXED;
#else
constexpr int kFixed = MAP_FIXED_NOREPLACE;
#endif

// Empty spans that a lane keeps per class. A request that frees what it allocated finds its spans
// again, not new ones elsewhere: fewer dirty pages. One span of any size fits in.
constexpr uint32_t kKeptPages = kMaxSpanPages;

void map_arena(const Range& arena) {
  void* const begin = reinterpret_cast<void*>(arena.begin);
  const auto mapped = sys::mmap(begin, arena.bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | kFixed, -1, 0);
  if (!mapped.ok()) EVENKEEL_DIE("heap arena cannot be mapped", "errno", mapped.err());
  EVENKEEL_CHECK(static_cast<uint64_t>(mapped.value()) == arena.begin);
  // A first touch must cost one page, not 2 MiB, and be tracked by the page. Fails only where the
  // kernel has no huge pages.
  sys::madvise(begin, arena.bytes, MADV_NOHUGEPAGE).ignore();
}

// Sizes of slots are multiples of 16. The empty asm keeps the compiler from seeing a memset, whose
// call costs more than these stores.
inline void zero_slot(uint64_t address, uint64_t bytes) {
  if (bytes > kPageBytes) return zero_sparse(address, bytes);
  if (bytes > 512) {
    std::memset(reinterpret_cast<void*>(address), 0, bytes);
    return;
  }
  for (const uint64_t end = address + bytes; address != end; address += 16) {
    asm("" : "+r"(address));
    _mm_store_si128(reinterpret_cast<__m128i*>(address), _mm_setzero_si128());
  }
}

void push_available(Lane& lane, Span* span) {
  Span*& head = lane.classes[span->size_class].available;
  span->prev = nullptr;
  span->next = head;
  if (head != nullptr) head->prev = span;
  head = span;
}

void remove_available(Lane& lane, Span* span) {
  (span->prev != nullptr ? span->prev->next : lane.classes[span->size_class].available) =
      span->next;
  if (span->next != nullptr) span->next->prev = span->prev;
}

void describe_span(const Lane& lane, Span* span, uint32_t size_class, uint32_t slots) {
  const SizeClass& sizes = kSizeClassTable.classes[size_class];
  span->lane = static_cast<uint16_t>(index_of(lane));
  span->size_class = static_cast<uint8_t>(size_class);
  span->small.bytes = sizes.bytes;
  span->small.reciprocal = sizes.reciprocal;
  span->small.slots = static_cast<uint16_t>(slots);
  span->small.bump = 0;
  span->small.live = 0;
  span->small.free_head = kNoSlot;
}

// A lane's spans of a class start small, so that a few objects make few pages, and double while
// the lane has more of them.
[[gnu::noinline]] Span* add_span(Lane& lane, uint32_t size_class) {
  start_lane(lane);
  const SizeClass& sizes = kSizeClassTable.classes[size_class];
  uint32_t pages = sizes.min_pages;
  for (uint32_t n = lane.classes[size_class].spans; n != 0 && pages < sizes.max_pages; --n) {
    pages *= 2;
  }
  const uint64_t fit = pages * kPageBytes / sizes.bytes;
  const auto slots = static_cast<uint32_t>(fit < kMaxSlots ? fit : kMaxSlots);
  Span* const span = alloc_block(lane, kSpanHeaderBytes + slots * sizeof(uint64_t));
  if (span == nullptr) return nullptr;
  const uint64_t first = take_run(lane, pages, 1);
  if (first == kNoPage) {
    free_block(lane, span);
    return nullptr;
  }
  span->begin = address_of(first);
  span->pages = pages;
  span->fresh = !any_touched(first, pages);
  set_touched(first, pages);
  describe_span(lane, span, size_class, slots);
  span->kind = Kind::kSmall;
  for (uint32_t i = 0; i < pages; ++i) map_set(first + i, span);
  ++lane.classes[size_class].spans;
  lane.classes[size_class].empty_pages += pages;
  push_available(lane, span);
  return span;
}

[[gnu::noinline]] void retire_span(Lane& lane, Span* span) {
  remove_available(lane, span);
  --lane.classes[span->size_class].spans;
  span->kind = Kind::kDead;
  bury(lane, span);
  free_run(lane, page_of(span->begin), span->pages, Phase::kDirty);
}

inline void* take_slot(Lane& lane, uint32_t size_class, size_t bytes) {
  Span* span = lane.classes[size_class].available;
  if (span == nullptr) [[unlikely]] {
    span = add_span(lane, size_class);
    if (span == nullptr) return nullptr;
  }
  uint32_t slot = span->small.free_head;
  bool touched = true;
  if (slot != kNoSlot) {
    span->small.free_head = static_cast<uint16_t>(load_word(span, slot).next());
  } else {
    slot = span->small.bump;
    touched = !span->fresh;
    std::atomic_ref(span->small.bump)
        .store(static_cast<uint16_t>(slot + 1), std::memory_order_relaxed);
  }
  store_word(span, slot, Word::live(bytes, ++lane.sequence));
  const uint32_t live = span->small.live;
  span->small.live = static_cast<uint16_t>(live + 1);
  if (live == 0) lane.classes[size_class].empty_pages -= span->pages;
  if (live + 1 == span->small.slots) [[unlikely]]
    remove_available(lane, span);
  const uint64_t address = span->begin + uint64_t{slot} * span->small.bytes;
  if (touched) zero_slot(address, span->small.bytes);
  return reinterpret_cast<void*>(address);
}

[[gnu::noinline]] void* allocate_rare(Lane& lane, size_t bytes, size_t alignment) {
  EVENKEEL_CHECK((alignment & (alignment - 1)) == 0);
  if (bytes > kMaxSmallBytes || alignment > kPageBytes) {
    return allocate_large(lane, bytes, alignment);
  }
  // Slots begin at multiples of their size from a page boundary. Ends at the latest at the next
  // power of two.
  uint32_t size_class = size_class_of(bytes > alignment ? bytes : alignment);
  while (kSizeClassTable.classes[size_class].bytes % alignment != 0) ++size_class;
  return take_slot(lane, size_class, bytes);
}

[[gnu::noinline, gnu::cold]] void misuse(const char* what, const void* pointer) {
  g_hooks->misuse(what, pointer);
}

inline void give_slot(Lane& lane, Span* span, uint32_t slot, Word word) {
  note_free(lane, span->begin + uint64_t{slot} * span->small.bytes);
  store_word(span, slot, word.freed(span->small.free_head));
  span->small.free_head = static_cast<uint16_t>(slot);
  const uint32_t live = span->small.live;
  span->small.live = static_cast<uint16_t>(live - 1);
  if (live == span->small.slots) [[unlikely]]
    push_available(lane, span);
  if (live != 1) return;
  uint32_t& empty_pages = lane.classes[span->size_class].empty_pages;
  if (empty_pages + span->pages > kKeptPages) return retire_span(lane, span);
  empty_pages += span->pages;
}

// Found by value: were its address taken, it would be written to the stack and read back.
inline void release_found(LaneId by, Found found, uint64_t address) {
  const auto lane = static_cast<uint32_t>(by);
  if (found.span->lane != lane) [[unlikely]] {
    queue_remote_free(lane_at(lane), found.span, found.slot, found.word, address);
  } else if (found.span->kind == Kind::kSmall) [[likely]] {
    give_slot(lane_at(lane), found.span, found.slot, found.word);
  } else {
    release_large(lane_at(lane), found.span, found.word);
  }
}

// Small slots shrink down to half their size without moving.
bool resize_in_place(LaneId by, const Found& found, size_t bytes) {
  Span* const span = found.span;
  if (span->kind == Kind::kSmall) {
    const uint64_t room = span->small.bytes;
    if (bytes > room) return false;
    if (bytes * 2 < room && room > 64) return false;
    store_word(span, found.slot, found.word.resized(bytes));
    return true;
  }
  if (page_ceil(bytes) == span->bytes() && bytes > kMaxSmallBytes) {
    span->large.bytes = bytes;
    return true;
  }
  const auto lane = static_cast<uint32_t>(by);
  return span->lane == lane && resize_large(lane_at(lane), span, bytes);
}

uint64_t room_of(const Span* span) {
  return span->kind == Kind::kSmall ? span->small.bytes : span->bytes();
}

}  // namespace

const Hooks& hooks() { return *g_hooks; }

void init(const Hooks& hooks) {
  const bool mapped = g_hooks != nullptr;
  g_hooks = &hooks;
  if (mapped) return;
  map_arena(kHeapMetaArena);
  map_arena(kHeapArena);
}

void* allocate(LaneId lane, size_t bytes, size_t alignment) {
  Lane& mine = lane_at(static_cast<uint32_t>(lane));
  if (bytes > kMaxSmallBytes || alignment > kMinAlignment) [[unlikely]] {
    return allocate_rare(mine, bytes, alignment);
  }
  return take_slot(mine, size_class_of(bytes), bytes);
}

void release(LaneId by, void* pointer) {
  if (pointer == nullptr) return;
  const auto address = reinterpret_cast<uint64_t>(pointer);
  Found found;
  if (!find(address, found)) [[unlikely]]
    return misuse(kWildFree, pointer);
  if (found.word.state() != State::kLive) [[unlikely]]
    return misuse(kDoubleFree, pointer);
  release_found(by, found, address);
}

void release_slot(Lane& lane, Span* span, uint32_t slot, Word word) {
  give_slot(lane, span, slot, word);
}

void* reallocate(LaneId by, void* pointer, size_t bytes) {
  if (pointer == nullptr) return allocate(by, bytes);
  const auto address = reinterpret_cast<uint64_t>(pointer);
  Found found;
  if (!find(address, found) || found.word.state() != State::kLive) {
    misuse(kWildRealloc, pointer);
    return nullptr;
  }
  if (resize_in_place(by, found, bytes)) return pointer;
  void* const moved = allocate(by, bytes);
  if (moved == nullptr) return nullptr;
  const uint64_t room = room_of(found.span);
  std::memcpy(moved, pointer, bytes < room ? bytes : room);
  release_found(by, found, address);
  return moved;
}

size_t usable_bytes(const void* pointer) {
  if (pointer == nullptr) return 0;
  Found found;
  if (find(reinterpret_cast<uint64_t>(pointer), found) && found.word.state() == State::kLive) {
    return room_of(found.span);
  }
  misuse(kWildSize, pointer);
  return 0;
}

bool owns(const void* pointer) { return kHeapArena.contains(reinterpret_cast<uint64_t>(pointer)); }

}  // namespace evenkeel::heap
