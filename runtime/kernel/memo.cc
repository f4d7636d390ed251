#include "runtime/kernel/memo.h"

#include <atomic>
#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/hash.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using Key = MemoList::Key;

// How long a follower sleeps before it asks whether the primary has ended the batch, which does not
// wake it.
constexpr uint64_t kPatience_ns = 1'000'000;

struct Indices {
  uint32_t next[wire::kMaxThreads];  // number of each thread's next call; never reset
};
constinit Indices* g_indices = nullptr;  // tracked: a re-execution numbers its calls alike

// Guards the list among the primary's threads; runtime memory, held for a search at most.
constinit std::atomic<uint32_t> g_list_lock = 0;
struct ListGuard {
  ListGuard() {
    while (g_list_lock.exchange(1, std::memory_order_acquire) != 0) {
      sys::futex_wait(g_list_lock, 1, kPatience_ns).ignore();
    }
  }
  ~ListGuard() {
    g_list_lock.store(0, std::memory_order_release);
    sys::futex_wake(g_list_lock, 1).ignore();
  }
};

uint32_t current_sequence() { return deck().command_sequence.load(std::memory_order_relaxed); }

Key next_key(wire::FileOp op, uint64_t arguments) {
  const uint32_t thread = sched::index_of(sched::self().id);
  return {current_sequence(), thread, g_indices->next[thread]++, op, arguments};
}

MemoReply reply_from(const MemoList& list, const wire::FileMemo& memo) {
  return {memo.result, list.payload_of(memo), memo.payload_bytes};
}

constexpr MemoReply kFull{-ENOSPC, nullptr, 0};

// The replica is not where the primary's answers say. The caller may hold the lock.
[[noreturn]] void leave() {
  if (sched::lock_held_by_this_carrier()) sched::unlock();
  sched::diverge();
}

void announce() {
  deck().files.published.fetch_add(1, std::memory_order_seq_cst);  // before `waiters` is read
  if (deck().files.waiters.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(deck().files.published, static_cast<int>(wire::kMaxReplicas) * 64).ignore();
  }
}

// Opening may create.
bool changes_files(wire::FileOp op) { return op == wire::FileOp::kOpen || changes_something(op); }

MemoReply execute(const Key& key, uint32_t payload_room, MemoBody body, void* context) {
  MemoList list(deck().files);
  wire::FileMemo* memo;
  bool repeated;
  {
    ListGuard guard;
    memo = list.reuse(key);
    repeated = memo != nullptr;
    if (!repeated) memo = list.claim(key, payload_room);
  }
  if (memo == nullptr) {
    count_unhandled("more file calls in a batch than the list holds");
    announce();
    return kFull;
  }
  if (!repeated) {
    uint32_t bytes = 0;
    const bool refused = deck().boot.offline != 0 && changes_files(key.op);
    memo->result = refused ? -EROFS : body(context, list.payload_of(*memo), bytes);
    memo->payload_bytes = bytes;
  }
  list.publish(*memo, key);
  announce();
  return reply_from(list, *memo);
}

bool primary_has_ended(uint32_t sequence) {
  const wire::Replica& primary = deck().replicas[deck().command.primary];
  return primary.done_sequence.load(std::memory_order_acquire) == sequence;
}

void sleep_until_published(uint32_t seen) {
  deck().files.waiters.fetch_add(1, std::memory_order_seq_cst);
  sys::futex_wait(deck().files.published, seen, kPatience_ns).ignore();
  deck().files.waiters.fetch_sub(1, std::memory_order_relaxed);
}

// Null: the caller has become the primary, or (`full`) the list is full.
const wire::FileMemo* await_answer(const MemoList& list, const Key& key, bool& full) {
  for (;;) {
    // What ends the wait is read before the list: an answer given earlier is then seen in it.
    const uint32_t seen = deck().files.published.load(std::memory_order_acquire);
    const bool ended = primary_has_ended(key.sequence);
    full = deck().files.overflow.load(std::memory_order_acquire) != 0;
    if (const wire::FileMemo* memo = list.find(key)) return memo;
    if (full || is_primary()) return nullptr;
    if (ended || sched::stopping()) leave();
    sleep_until_published(seen);
  }
}

}  // namespace

Arguments& Arguments::add(uint64_t value) {
  digest_ = hash64(&value, sizeof value, digest_);
  return *this;
}

Arguments& Arguments::add(const char* text) {
  char chunk[64];
  size_t filled;
  do {
    for (filled = 0; filled < sizeof chunk && *text != '\0'; ++filled) chunk[filled] = *text++;
    digest_ = hash64(chunk, filled, digest_ + 1);
  } while (filled == sizeof chunk);
  return *this;
}

void init_memo() {
  g_indices = arena::create<Indices>();
  if (is_primary()) MemoList(deck().files).clear();
}

MemoReply memoise(wire::FileOp op, const Arguments& arguments, uint32_t payload_room, MemoBody body,
                  void* context) {
  const Key key = next_key(op, arguments.digest());
  const MemoList list(deck().files);
  // A successor of a lost primary finds what that one answered in this command.
  const wire::FileMemo* memo = list.find(key);
  bool full = false;
  if (memo == nullptr && !is_primary()) memo = await_answer(list, key, full);
  if (full && memo == nullptr) return kFull;
  if (memo == nullptr) return execute(key, payload_room, body, context);
  if (!same_call(*memo, key)) leave();
  return reply_from(list, *memo);
}

void commit_memos(bool is_primary) {
  if (!is_primary) return;
  MemoList list(deck().files);
  if (list.orphans(current_sequence() - 1) != 0) {
    count_unhandled("file effects of a rolled-back execution");
  }
  list.clear();
}

}  // namespace evenkeel::kernel
