#pragma once
// Deterministic allocator: the address of an object depends only on the allocations of its own
// lane, never on how threads were interleaved. Objects lie in kHeapArena (hashed, rolled back), all
// metadata in kHeapMetaArena (rolled back, not hashed), so an overrun cannot corrupt it and a
// rollback restores it with everything else.
//
// A lane is the allocation domain of one application thread, or of one connection whose requests
// are annotated. It owns whole segments of the arena;
// within them, size-class spans. A free by another lane's thread is queued with the freeing lane
// and applied by apply_remote_frees() in (freeing lane, order of the frees) order.
//
// Threads: one thread at a time per lane; different lanes concurrently. init(),
//          apply_remote_frees() and object_at() only while no lane is in use.
// Memory:  kHeapArena and kHeapMetaArena, mapped by init(); nothing else.
// Errors:  allocate() returns nullptr when the arena or the lane's address range is exhausted. A
//          pointer that is not the start of a live object (double free, wild free) is reported
//          through Hooks::misuse and changes nothing.
#include <cstddef>
#include <cstdint>

#include "runtime/core/layout.h"

namespace evenkeel::heap {

enum class LaneId : uint32_t {};
constexpr uint32_t kThreadLanes = 4096;  // = wire::kMaxThreads
// Connections with lanes, by the slots of their channels; others use the lanes of threads. As many
// as Lane records fit before the next part of kHeapMetaArena.
constexpr uint32_t kConnectionLanes = 4032;
constexpr uint32_t kMaxLanes = kThreadLanes + kConnectionLanes;
constexpr uint64_t kSegmentBytes = 64
                                   << 20;  // address space, not memory, that a lane takes at once
constexpr uint64_t kMinAlignment = 16;

// What the allocator needs from the runtime above it.
struct Hooks {
  // Brackets the one operation whose order between lanes matters: taking a segment. enter() also
  // excludes other threads (it may switch threads); leave() ends it.
  void (*enter_ordered)();
  void (*leave_ordered)();
  void (*misuse)(const char* what, const void* pointer);
  // The arena has no room to queue a free for its owner: the object stays allocated.
  void (*lost_free)(const void* pointer);
};

struct Object {
  uint64_t base;
  uint64_t bytes;  // as requested
  LaneId lane;
  bool live;
  uint64_t sequence;  // allocation number within the lane, from 1
};

// Whether the lane has a segment; and takes its first one, so that its allocations need none in an
// order with those of other lanes until it is used up. Failure shows in allocate().
[[nodiscard]] bool prepared(LaneId lane);
void prepare(LaneId lane);

// Maps both arenas at their fixed addresses. `hooks` must outlive the process.
void init(const Hooks& hooks);

// Zeroed memory. `alignment` is a power of two; 0 bytes gives a unique object.
[[nodiscard]] void* allocate(LaneId lane, size_t bytes, size_t alignment = kMinAlignment);
void release(LaneId by, void* pointer);
// In place if the size class allows it, else moves. nullptr: `pointer` is unchanged.
[[nodiscard]] void* reallocate(LaneId by, void* pointer, size_t bytes);
[[nodiscard]] size_t usable_bytes(const void* pointer);
[[nodiscard]] bool owns(const void* pointer);

// At quiescence: gives queued remote frees back to their lanes. Called at the end of every batch.
void apply_remote_frees();

// Of what was allocated and freed, in each lane's order: where it is equal, equal allocations will
// have equal addresses. Free lists are not compared themselves, and may differ where all objects
// are equal (two threads free one lane's objects in either order).
[[nodiscard]] uint64_t digest();

// The object (live or freed and not yet reused) that covers `address`; false if none.
[[nodiscard]] bool object_at(uint64_t address, Object& out);

// Extents of the arenas ever handed out, for the snapshot: calls visit(range) for each used range
// of kHeapArena and of kHeapMetaArena, ascending. Ranges only grow, except by rollback.
void for_each_used_range(void (*visit)(void* context, Range range), void* context);

}  // namespace evenkeel::heap
