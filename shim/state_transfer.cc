#include "shim/state_transfer.h"

#include <sys/prctl.h>
#include <sys/uio.h>

#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/heap.h"
#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/memory.h"
#include "shim/describe.h"
#include "snapshot/snapshot.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

constexpr size_t kChunkBytes = 256 << 10;
alignas(4096) constinit char g_chunk[kChunkBytes];

// The primary lists the used ranges of its memory in its report area, as leaves: page is where a
// range begins, hash.low how many bytes it has.
void list_range(void* context, Range range) {
  auto& report = *static_cast<wire::Report*>(context);
  if (report.leaf_count == wire::kMaxLeaves)
    EVENKEEL_DIE("too many ranges", "limit", report.leaf_count);
  report.leaves[report.leaf_count++] = {range.begin, {range.bytes, 0}};
}

void list_memory(wire::Replica& me) {
  wire::Report& report = me.report;
  report.leaf_count = 0;
  const uint32_t regions = me.region_count.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < regions; ++i) {
    const Range range{me.regions[i].begin, me.regions[i].end - me.regions[i].begin};
    if (range.bytes < kGiB) list_range(&report, range);  // the arenas follow, as far as used
  }
  list_range(&report, {kKernelArena.begin, arena::used_end() - kKernelArena.begin});
  heap::for_each_used_range(list_range, &report);
  kernel::for_each_used_range(kMapArena, list_range, &report);
  kernel::for_each_used_range(kStackArena, list_range, &report);
}

void must(sys::Result result, const char* what) {
  if (!result.ok()) die(__FILE__, __LINE__, what, "errno", nullptr, result.err());
}

// Copies what differs, page by page, so that equal pages stay clean. A page that the application
// has made inaccessible (a guard page) is so in every replica, and skipped. Returns how far it
// came.
size_t copy_chunk(int pid, uint64_t address, size_t room) {
  const iovec local{g_chunk, room};
  const iovec remote{reinterpret_cast<void*>(address), room};
  const auto got =
      sys::call(SYS_process_vm_readv, pid, sys::arg(&local), 1, sys::arg(&remote), 1, 0);
  if (got.err() == EFAULT) return kPageBytes;
  must(got, "cannot read the primary's memory");
  const auto bytes = static_cast<size_t>(got.value());  // short in front of an inaccessible page
  for (size_t at = 0; at < bytes; at += kPageBytes) {
    auto* mine = reinterpret_cast<char*>(address + at);
    if (std::memcmp(mine, g_chunk + at, kPageBytes) != 0) {
      std::memcpy(mine, g_chunk + at, kPageBytes);
    }
  }
  return bytes;
}

void copy_memory(const wire::Replica& primary) {
  const wire::Report& report = primary.report;
  for (uint32_t i = 0; i < report.leaf_count; ++i) {
    uint64_t at = report.leaves[i].page;
    const uint64_t end = page_ceil(at + report.leaves[i].hash.low);
    while (at < end) {
      const size_t bytes = end - at < kChunkBytes ? end - at : kChunkBytes;
      at += copy_chunk(primary.pid, at, bytes);
    }
  }
}

void settle(bool write_shared, bool hash) {
  snapshot::DirtyPages dirty{};
  must(snapshot::collect(dirty), "cannot collect dirty pages");
  // A follower's image is the primary's already, so nothing seems changed to it.
  if (hash) hash_changed(dirty, true);
  snapshot::commit(write_shared);
  if (hash) verify::settle();
  kernel::memory_committed();
}

}  // namespace

void adopt_state(wire::Deck& deck, uint32_t replica) {
  const bool hash = deck.boot.verify != 0;
  const uint32_t sequence = deck.command_sequence.load(std::memory_order_acquire);
  wire::Replica& primary = deck.replicas[deck.command.primary];
  if (replica == deck.command.primary) {
    settle(true, hash);
    sys::call(SYS_prctl, PR_SET_PTRACER, -1).ignore();  // EINVAL without Yama: nothing to allow
    list_memory(primary);
    deck.log_sequence.store(sequence, std::memory_order_release);
    sys::futex_wake(deck.log_sequence, static_cast<int>(wire::kMaxReplicas)).ignore();
    return;
  }
  snapshot::rollback();
  if (hash) verify::undo();
  kernel::memory_rolled_back();
  for (;;) {
    const uint32_t seen = deck.log_sequence.load(std::memory_order_acquire);
    if (seen == sequence) break;
    if (deck.primary_lost.load(std::memory_order_acquire) == sequence) return;
    sys::futex_wait(deck.log_sequence, seen).ignore();
  }
  copy_memory(primary);
  settle(false, hash);
}

}  // namespace evenkeel::shim
