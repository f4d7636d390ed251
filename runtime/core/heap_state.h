#pragma once
// The allocator's state, all of it in kHeapMetaArena, so that a rollback restores it. Private to
// runtime/core/heap*.cc.
//
//   Root      page 0       how many lanes and segments there are, who has queued work
//   Lane[]    one page each
//   Segment[] one record per 64 MiB of arena
//   touched   one bit per arena page: 1 if it may be other than zero
//   page map  one Span* per arena page (see covers())
//   blocks    per segment kSegmentMetaBytes for Span records, carved from the start
//
// Every part is filled from its beginning, so what is in use is a short prefix of each.
//
// Words of this code: a *run* is a series of pages of one lane; it is free, or holds one large
// object, or is a *span* of equal *slots* for small objects. All three are described by a Span.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/core/check.h"
#include "runtime/core/heap.h"
#include "runtime/core/heap_steps.h"

namespace evenkeel::heap {

// ---------------------------------------------------------------- slot words

// One per object, out of band: state, link to the next free slot (while free), size as requested,
// and the allocation number. A free slot keeps size and number for reports.
// The number has 35 bits and is completed from the lane's counter when it is reported: exact unless
// the object is more than 3.4e10 allocations old.
enum class State : uint32_t { kNever = 0, kLive = 1, kFree = 2, kQueued = 3 };

constexpr uint32_t kNoSlot = 0x7ff;
static_assert(kMaxSlots < kNoSlot);
static_assert(kMaxSmallBytes < uint64_t{1} << 16);

struct Word {
  uint64_t bits;

  static constexpr uint32_t kSequenceShift = 29;
  static constexpr Word live(uint64_t bytes, uint64_t sequence) {
    return {sequence << kSequenceShift | bytes << 13 | static_cast<uint32_t>(State::kLive)};
  }
  [[nodiscard]] constexpr State state() const { return static_cast<State>(bits & 3); }
  [[nodiscard]] constexpr uint32_t next() const { return bits >> 2 & kNoSlot; }
  [[nodiscard]] constexpr uint64_t bytes() const { return bits >> 13 & 0xffff; }
  [[nodiscard]] constexpr uint64_t sequence() const { return bits >> kSequenceShift; }
  [[nodiscard]] constexpr Word with(State state) const {
    return {(bits & ~uint64_t{3}) | static_cast<uint32_t>(state)};
  }
  [[nodiscard]] constexpr Word freed(uint32_t next) const {
    return {(bits & ~uint64_t{0x1fff}) | next << 2 | static_cast<uint32_t>(State::kFree)};
  }
  [[nodiscard]] constexpr Word resized(uint64_t bytes) const {
    return {(bits & ~(uint64_t{0xffff} << 13)) | bytes << 13};
  }
};

// ---------------------------------------------------------------- spans

enum class Kind : uint8_t {
  kUnused = 0,  // block on a free list
  kFree,        // free run
  kSmall,       // span of slots
  kLarge,       // one object; its Word is words[0], its size large.bytes
  kDead,        // was kSmall or kLarge, all freed; remembered for object_at()
  kQueue,       // no run at all: words[] are addresses of a remote-free queue
};

// What is known of a free run's content; see heap_trim.cc.
enum class Phase : uint8_t { kClean, kZeroed, kDirty };

constexpr uint8_t kLargeClass = 0xff;

struct Span {
  uint64_t begin;  // address; of a page
  Span* next;      // in the list that its kind says: class, bin, free blocks, queue
  Span* prev;
  uint32_t pages;
  uint16_t lane;
  Kind kind;
  uint8_t size_class;  // or kLargeClass
  uint8_t block_step;  // size of this record
  Phase phase;         // kFree
  bool fresh;          // kSmall: slots beyond `bump` are known to be zero
  bool listed;         // kFree: in Lane::dirty or Lane::zeroed
  uint32_t epoch;      // kFree: Root::epoch when it entered its trim list
  union {
    struct {
      uint32_t bytes;
      uint32_t reciprocal;
      uint16_t slots;
      uint16_t bump;  // slots below it have been handed out at least once
      uint16_t live;
      uint16_t free_head;
    } small;
    struct {
      Span* older;
      Span* newer;
    } trim;
    struct {
      uint64_t bytes;  // as requested
      uint64_t reserved;
    } large;
  };
  uint64_t words[1];  // really as many as the block has room for

  [[nodiscard]] uint64_t bytes() const { return uint64_t{pages} * kPageBytes; }
  [[nodiscard]] uint64_t end() const { return begin + bytes(); }
  // The page map is never cleared, and a block once given to a Span only ever holds Spans: an old
  // entry may lead to any Span, but its kind and extent tell whether it is the right one.
  [[nodiscard]] bool covers(uint64_t address) const {
    return (kind == Kind::kSmall || kind == Kind::kLarge) && address - begin < bytes();
  }
};
constexpr uint64_t kSpanHeaderBytes = offsetof(Span, words);
static_assert(sizeof(Span) == kBlockUnitBytes);
static_assert(kSpanHeaderBytes + kMaxSlots * 8 <= kMaxBlockBytes);

// A lane reads and writes the words of its own objects, another lane only those of an object that
// the application has handed to it. Relaxed: the hand-over is what orders them; only kLive ->
// kQueued must be atomic in itself, so that one of two racing frees is seen to be the second.
inline Word load_word(Span* span, uint32_t slot) {
  return {std::atomic_ref(span->words[slot]).load(std::memory_order_relaxed)};
}
inline void store_word(Span* span, uint32_t slot, Word word) {
  std::atomic_ref(span->words[slot]).store(word.bits, std::memory_order_relaxed);
}

// ---------------------------------------------------------------- lanes

constexpr uint32_t kGraves = 32;        // freed runs per lane that object_at() still knows
constexpr uint32_t kInlineQueue = 191;  // remote frees per batch that need no block
constexpr uint32_t kQueueBlockBytes = 1024;
constexpr uint32_t kQueueBlockEntries = (kQueueBlockBytes - kSpanHeaderBytes) / 8;

struct SpanList {
  Span* first;
  Span* last;
};

struct alignas(kPageBytes) Lane {
  uint64_t sequence;  // allocations so far
  uint64_t freed;     // digest of the frees so far, in their order
  uint64_t started;   // 0: untouched
  struct {
    Span* available;  // spans with a slot to give, first in use
    uint32_t spans;
    uint32_t empty_pages;  // of spans without a live object
  } classes[kSizeClasses];

  uint64_t run_mask[2];  // which of `runs` are not empty
  Span* runs[kRunSteps];
  SpanList dirty;   // free runs to be zeroed, oldest first
  SpanList zeroed;  // free runs whose memory can be returned once the zeros are committed

  Span* blocks[kBlockSteps];
  uint64_t block_cursor;  // addresses
  uint64_t block_end;
  uint32_t block_segment;  // index + 1; 0: none yet
  uint32_t first_segment;
  uint32_t last_segment;
  uint32_t next_grave;
  Span* graves[kGraves];

  uint64_t queued;  // frees of other lanes' objects since the last apply_remote_frees()
  SpanList queue;   // blocks for those beyond kInlineQueue
  uint64_t inline_queue[kInlineQueue];
};
static_assert(sizeof(Lane) == kPageBytes);
static_assert(kRunSteps <= 128);

struct Segment {
  Span* end_tag;  // free run that ends with this segment, if any; validated like the map
  std::atomic<uint32_t> owner;  // lane + 1; 0: not taken
  uint32_t used_pages;          // high-water mark of what was handed out
  uint32_t next_of_lane;        // index + 1
  uint32_t block_bytes;         // used of its block area
};

struct LaneSet {
  std::atomic<uint64_t> bits[kMaxLanes / 64];
  // Relaxed: read only while no lane is in use.
  void add(uint32_t lane) {
    bits[lane / 64].fetch_or(uint64_t{1} << lane % 64, std::memory_order_relaxed);
  }
};

struct Root {
  uint64_t segments;                   // taken; changed only inside Hooks::enter_ordered
  std::atomic<uint32_t> lanes;         // highest lane ever used + 1
  std::atomic<uint32_t> thread_lanes;  // the same, below kThreadLanes
  uint32_t epoch;                      // calls of apply_remote_frees(), wraps around
  LaneSet queued;                      // lanes with remote frees
  LaneSet trimming;                    // lanes with free runs to zero or return
};
static_assert(sizeof(Root) <= kPageBytes);

// ---------------------------------------------------------------- where it all lies

constexpr uint64_t kSegmentPages = kSegmentBytes / kPageBytes;
constexpr uint64_t kSegments = kHeapArena.bytes / kSegmentBytes;
// A word per 32 bytes of heap fits with room to spare; a lane whose objects are smaller than that
// on average takes the next segment early. The odd page keeps segments apart in the caches.
constexpr uint64_t kSegmentMetaBytes = (15 << 20) + kPageBytes;

constexpr uint64_t kRootAt = kHeapMetaArena.begin;
constexpr uint64_t kLanesAt = kRootAt + kPageBytes;
constexpr uint64_t kSegmentsAt = kHeapMetaArena.begin + (32 << 20);
constexpr uint64_t kTouchedAt = kHeapMetaArena.begin + (64 << 20);
constexpr uint64_t kPageMapAt = kHeapMetaArena.begin + kGiB;
constexpr uint64_t kBlocksAt = kHeapMetaArena.begin + 16 * kGiB;
static_assert(kLanesAt + kMaxLanes * sizeof(Lane) <= kSegmentsAt);
static_assert(kSegmentsAt + kSegments * sizeof(Segment) <= kTouchedAt);
static_assert(kTouchedAt + kArenaPages / 8 <= kPageMapAt);
static_assert(kPageMapAt + kArenaPages * sizeof(Span*) <= kBlocksAt);
static_assert(kBlocksAt + kSegments * kSegmentMetaBytes <= kHeapMetaArena.end());

inline Root& root() { return *reinterpret_cast<Root*>(kRootAt); }
inline Lane& lane_at(uint32_t lane) { return reinterpret_cast<Lane*>(kLanesAt)[lane]; }
inline Segment& segment_at(uint64_t segment) {
  return reinterpret_cast<Segment*>(kSegmentsAt)[segment];
}
inline uint64_t* touched_words() { return reinterpret_cast<uint64_t*>(kTouchedAt); }
inline uint32_t index_of(const Lane& lane) {
  return static_cast<uint32_t>((reinterpret_cast<uint64_t>(&lane) - kLanesAt) / sizeof(Lane));
}

inline void note_free(Lane& lane, uint64_t address) {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio, odd
  lane.freed = (lane.freed + address) * kGolden;
}

inline uint64_t page_of(uint64_t address) { return (address - kHeapArena.begin) / kPageBytes; }
inline uint64_t address_of(uint64_t page) { return kHeapArena.begin + page * kPageBytes; }

// Atomic because a stray pointer may lead a thread to an entry that another lane is writing.
inline Span* map_get(uint64_t page) {
  return std::atomic_ref(reinterpret_cast<Span**>(kPageMapAt)[page])
      .load(std::memory_order_relaxed);
}
inline void map_set(uint64_t page, Span* span) {
  std::atomic_ref(reinterpret_cast<Span**>(kPageMapAt)[page])
      .store(span, std::memory_order_relaxed);
}

const Hooks& hooks();

// ---------------------------------------------------------------- heap_blocks.cc

// A metadata block of at least `bytes`, its block_step set, the rest undefined but for what an
// earlier Span left; nullptr if the arena is exhausted. May take a segment.
Span* alloc_block(Lane& lane, uint64_t bytes);
void free_block(Lane& lane, Span* block);
void start_lane(Lane& lane);
// Takes `count` segments in a row and adds their pages to the lane's free runs.
bool take_segments(Lane& lane, uint64_t count);
// Keeps a dead Span for object_at() until kGraves more have died.
void bury(Lane& lane, Span* span);

// ---------------------------------------------------------------- heap_runs.cc

constexpr uint64_t kNoPage = UINT64_MAX;
// First page of `pages` pages, aligned to `align_pages`; kNoPage if the arena is exhausted. What
// the pages hold is left to the caller: see `touched`.
uint64_t take_run(Lane& lane, uint64_t pages, uint64_t align_pages);
void free_run(Lane& lane, uint64_t first_page, uint64_t pages, Phase phase);
// Takes [first_page, first_page + pages) if those pages begin a free run of the lane.
bool take_run_at(Lane& lane, uint64_t first_page, uint64_t pages);

// ---------------------------------------------------------------- heap_trim.cc

bool any_touched(uint64_t first_page, uint64_t pages);
void set_touched(uint64_t first_page, uint64_t pages);
// Makes touched pages zero without writing to those that are already.
void zero_touched(uint64_t first_page, uint64_t pages);
void zero_sparse(uint64_t address, uint64_t bytes);
// The run now has `pages` pages, some of them in `phase`.
void trim_note(Lane& lane, Span* run, Phase phase, uint64_t pages);
void trim_forget(Lane& lane, Span* run);
void trim(Lane& lane);
[[nodiscard]] bool trim_pending(const Lane& lane);

// ---------------------------------------------------------------- heap.cc, heap_large.cc

// What Hooks::misuse is told.
constexpr char kWildFree[] = "free of an address that is not the start of an object";
constexpr char kDoubleFree[] = "double free";
constexpr char kWildRealloc[] = "realloc of an address that is not the start of a live object";
constexpr char kWildSize[] = "size of an address that is not the start of a live object";

struct Found {
  Span* span;
  uint32_t slot;
  Word word;
};

// The object that starts at `address`, in whatever state. `address` may be anything.
inline bool find(uint64_t address, Found& out) {
  if (!kHeapArena.contains(address)) [[unlikely]]
    return false;
  Span* const span = map_get(page_of(address));
  if (span == nullptr) [[unlikely]]
    return false;
  const uint64_t offset = address - span->begin;
  if (span->kind == Kind::kSmall) [[likely]] {
    // A stale entry gives a wild offset; the second test catches it whatever the product was.
    const uint64_t slot = offset * span->small.reciprocal >> 32;
    if (slot >= std::atomic_ref(span->small.bump).load(std::memory_order_relaxed)) return false;
    if (slot * span->small.bytes != offset) return false;
    out = {span, static_cast<uint32_t>(slot), load_word(span, static_cast<uint32_t>(slot))};
    return true;
  }
  if (span->kind != Kind::kLarge || offset != 0) return false;
  out = {span, 0, load_word(span, 0)};
  return true;
}

// By the object's own lane.
void release_slot(Lane& lane, Span* span, uint32_t slot, Word word);
void release_large(Lane& lane, Span* span, Word word);
inline void release_own(Lane& lane, Found found) {
  if (found.span->kind == Kind::kSmall) {
    release_slot(lane, found.span, found.slot, found.word);
  } else {
    release_large(lane, found.span, found.word);
  }
}
void* allocate_large(Lane& lane, size_t bytes, size_t alignment);
bool resize_large(Lane& lane, Span* span, size_t bytes);

// ---------------------------------------------------------------- heap_remote.cc

void queue_remote_free(Lane& by, Span* span, uint32_t slot, Word seen, uint64_t address);

}  // namespace evenkeel::heap
