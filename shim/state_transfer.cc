#include "shim/state_transfer.h"

#include <signal.h>
#include <sys/prctl.h>

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/peer.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/file.h"
#include "runtime/kernel/identity.h"
#include "runtime/kernel/memory.h"
#include "shim/describe.h"
#include "shim/file_mappings.h"
#include "snapshot/snapshot.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

// How often the end of another replica's work is looked for: it wakes nobody but the coordinator.
constexpr uint64_t kLookNs = 200'000;
constexpr size_t kRehashPages = 256;  // 2 KiB of addresses

constinit Range g_initial_stack{};
constinit int g_stored_source = -1;
constinit uint64_t g_pages[kRehashPages];
constinit size_t g_page_count = 0;

// The owner of the state has died, and what was taken of it is a torn copy.
[[noreturn]] void leave() {
  sys::call(SYS_kill, sys::getpid().value(), SIGKILL).ignore();
  __builtin_unreachable();
}

void must(sys::Result result, const char* what) {
  if (result.err() == ESRCH) leave();
  if (!result.ok()) die(__FILE__, __LINE__, what, "errno", nullptr, result.err());
}

uint32_t sequence_of(const wire::Deck& deck) {
  return deck.command_sequence.load(std::memory_order_acquire);
}

// Waits until a replica has obeyed the present command; false: it has died.
bool await_done(const wire::Deck& deck, uint32_t replica) {
  // futex_wait() takes what it will not write.
  auto& done = const_cast<std::atomic<uint32_t>&>(deck.replicas[replica].done_sequence);
  for (;;) {
    const uint32_t seen = done.load(std::memory_order_acquire);
    if (seen == sequence_of(deck)) return true;
    if ((deck.live_mask.load(std::memory_order_acquire) >> replica & 1) == 0) return false;
    sys::futex_wait(done, seen, kLookNs).ignore();
  }
}

// ---- taking

void flush_rehash() {
  verify::update(g_pages, g_page_count);
  g_page_count = 0;
}

void rehash_page(void*, uint64_t page) {
  g_pages[g_page_count++] = page;
  if (g_page_count == kRehashPages) flush_rehash();
}

void take_over_tree(const Peer& peer) {
  must(verify::take_over(peer), "cannot take over the Merkle tree");
  snapshot::for_each_hashed_page(rehash_page, nullptr);
  flush_rehash();
  verify::settle();
  wire::Token expected{};
  must(verify::peer_root(peer, expected), "cannot read the other replica's memory");
  if (!(verify::root() == expected)) {
    EVENKEEL_DIE("memory taken over differs from its source", "root", verify::root().low);
  }
}

void take_over_memory(const Peer& peer, bool hash) {
  must(kernel::take_over_regions(peer), "cannot take over file mappings");
  must(snapshot::take_over(peer), "cannot take over the other replica's memory");
  must(peer.read(g_initial_stack.begin, reinterpret_cast<void*>(g_initial_stack.begin),
                 g_initial_stack.bytes),
       "cannot read the other replica's memory");
  must(take_over_file_mappings(peer), "cannot take over file mappings");
  if (hash) take_over_tree(peer);
  must(snapshot::enforce_protections(), "cannot take over the other replica's memory");
  must(kernel::take_over_files(peer), "cannot take over open files");
}

// What both had at their start must lie at the same places, or nothing fits.
void check_layout(const wire::Replica& mine, const wire::Replica& theirs) {
  const uint32_t count = mine.region_count.load(std::memory_order_relaxed);
  if (mine.layout != theirs.layout || count > theirs.region_count.load(std::memory_order_acquire)) {
    EVENKEEL_DIE("a replacement starts with another address space", "regions", count);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Region& a = mine.regions[i];
    const wire::Region& b = theirs.regions[i];
    if (a.begin != b.begin || a.end != b.end || a.kind != b.kind) {
      EVENKEEL_DIE("a replacement starts with another address space", "region", a.begin);
    }
  }
}

// Libraries that were loaded later have names, too.
void take_over_names(wire::Replica& mine, const wire::Replica& theirs) {
  const uint32_t count = theirs.region_count.load(std::memory_order_acquire);
  std::memcpy(mine.regions, theirs.regions, count * sizeof(wire::Region));
  mine.region_count.store(count, std::memory_order_release);
}

// Everything but the process's identity.
void take_over_state(wire::Deck& deck, const Peer& peer, const wire::Replica& theirs,
                     wire::Replica& mine) {
  take_over_memory(peer, deck.boot.verify != 0);
  take_over_names(mine, theirs);
  mine.result = theirs.result;
  // Whoever has died by now may have left us without its open files.
  if (!sys::call(SYS_kill, peer.pid(), 0).ok()) leave();
}

// ---- giving

void settle(bool hash) {
  snapshot::DirtyPages dirty{};
  must(snapshot::collect(dirty), "cannot collect dirty pages");
  if (hash) hash_changed(dirty, true);
  snapshot::commit(true);
  if (hash) verify::settle();
  kernel::commit_files(true);
  kernel::memory_committed();
}

// One at a time: if the source dies, the one that was copying is lost with it, and the next still
// has a state of its own.
void await_earlier_takers(const wire::Deck& deck, uint32_t replica) {
  for (uint32_t i = 0; i < replica; ++i) (void)await_done(deck, i);
}

bool lives(const wire::Deck& deck, uint32_t replica) {
  return (deck.live_mask.load(std::memory_order_acquire) >> replica & 1) != 0;
}

Peer source_of(const wire::Replica& theirs) {
  return g_stored_source >= 0 ? Peer(theirs.pid, g_stored_source) : Peer(theirs.pid);
}

uint32_t present_primary(const wire::Deck& deck) {
  return __atomic_load_n(&deck.command.primary, __ATOMIC_ACQUIRE);
}

}  // namespace

void set_initial_stack(Range range) { g_initial_stack = range; }

void set_stored_source(int fd) { g_stored_source = fd; }

void allow_reading() {
  sys::call(SYS_prctl, PR_SET_PTRACER, -1).ignore();  // EINVAL without Yama: nothing to allow
}

uint32_t await_source(const wire::Deck& deck, uint32_t replica) {
  for (;;) {
    const uint32_t source = present_primary(deck);
    if (source == replica || await_done(deck, source)) return source;
    // It is dead; the coordinator is about to name its successor. A replacement is never that one:
    // if nobody else is left, neither is the state.
    const bool named = deck.primary_lost.load(std::memory_order_acquire) == sequence_of(deck);
    const bool replacement = deck.replicas[replica].join_sequence == sequence_of(deck);
    if (named && replacement && present_primary(deck) == source) leave();
  }
}

wire::Token adopt_state(wire::Deck& deck, uint32_t replica) {
  allow_reading();
  const bool was_primary = present_primary(deck) == replica;
  for (;;) {
    const uint32_t source = await_source(deck, replica);
    if (source == replica) {
      if (deck.replicas[replica].result.status != wire::Status::kQuiescent) leave();
      settle(deck.boot.verify != 0);
      if (!was_primary) snapshot::rewrite_image();
      return deck.replicas[replica].result.token;
    }
    await_earlier_takers(deck, replica);
    if (!lives(deck, source)) continue;
    const wire::Replica& theirs = deck.replicas[source];
    const Peer peer(theirs.pid);
    take_over_state(deck, peer, theirs, deck.replicas[replica]);
    return theirs.result.token;
  }
}

wire::Token join(wire::Deck& deck, uint32_t replica) {
  const wire::Replica& theirs = deck.replicas[await_source(deck, replica)];
  wire::Replica& mine = deck.replicas[replica];
  check_layout(mine, theirs);
  const Peer peer = source_of(theirs);
  take_over_state(deck, peer, theirs, mine);
  must(kernel::take_over_identity(peer), "cannot take over the process's identity");
  return theirs.result.token;
}

}  // namespace evenkeel::shim
