#include "runtime/sched/thread.h"

#include <cstddef>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/order.h"

namespace evenkeel::sched {
namespace {

// Wait queues hash by key; waiters of one key keep their order within the bucket.
constexpr uint32_t kBuckets = 1024;

struct Bucket {
  Thread* head;
  Thread* tail;
};
struct Table {
  uint32_t slots;  // ever used
  uint32_t live;
  bool dead;           // some slot is kDead
  uint32_t unsettled;  // threads with Thread::unsettled
  uint32_t waiters_for_owners;
  Bucket buckets[kBuckets];
  Thread threads[wire::kMaxThreads];
};
constinit Table* g_table = nullptr;  // set once by init_threads()

// Command in which a wait of known kind began last. Runtime memory: a rollback need not undo it,
// because the next execution has another number.
constinit uint32_t g_last_known_wait = 0;

Bucket& bucket_of(uint64_t key) {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio: Fibonacci hashing
  return g_table->buckets[(key * kGolden) >> 54];
}

void append(Thread& thread, uint64_t key) {
  Bucket& bucket = bucket_of(key);
  thread.wait_key = key;
  thread.next = nullptr;
  thread.previous = bucket.tail;
  (bucket.tail != nullptr ? bucket.tail->next : bucket.head) = &thread;
  bucket.tail = &thread;
}

void unlink(Thread& thread) {
  Bucket& bucket = bucket_of(thread.wait_key);
  (thread.previous != nullptr ? thread.previous->next : bucket.head) = thread.next;
  (thread.next != nullptr ? thread.next->previous : bucket.tail) = thread.previous;
}

Thread* find_from(Thread* thread, uint64_t key) {
  while (thread != nullptr && thread->wait_key != key) thread = thread->next;
  return thread;
}

void set_unsettled(Thread& thread, uint32_t tag) {
  if (thread.unsettled != 0) --g_table->unsettled;
  if (tag != 0) ++g_table->unsettled;
  thread.unsettled = tag;
}

void forget_wait(Thread& thread) {
  if (has_owner(thread.wait_kind)) --g_table->waiters_for_owners;
  thread.wait_kind = wire::WaitKind::kOther;
}

void expire_wait(Timer& timer) {
  auto* bytes = reinterpret_cast<char*>(&timer);
  wake_thread(*reinterpret_cast<Thread*>(bytes - offsetof(Thread, timer)), Wake::kTimeout);
}

}  // namespace

void init_threads() { g_table = arena::create<Table>(); }

Thread& thread(ThreadId id) { return g_table->threads[index_of(id)]; }
uint32_t live_threads() { return g_table->live; }
uint32_t thread_slots() { return g_table->slots; }

Thread* allocate_thread() {
  uint32_t index = 0;
  while (index < g_table->slots) {
    if (g_table->threads[index].state == ThreadState::kFree) break;
    ++index;
  }
  if (index == wire::kMaxThreads) return nullptr;
  if (index == g_table->slots) ++g_table->slots;
  ++g_table->live;
  Thread& created = g_table->threads[index];
  created = Thread{};
  created.id = ThreadId{index};
  created.lane = index;
  created.state = ThreadState::kBorn;
  created.timer.tie = index;
  created.timer.expire = expire_wait;
  return &created;
}

void reclaim_threads() {
  if (!g_table->dead) return;
  g_table->dead = false;
  for (uint32_t i = 0; i < g_table->slots; ++i) {
    Thread& thread = g_table->threads[i];
    if (thread.state == ThreadState::kDead) thread.state = ThreadState::kFree;
  }
}

void retire_thread(Thread& thread) {
  g_table->dead = true;
  thread.state = ThreadState::kDead;
  --g_table->live;
}

void enqueue_waiter(Thread& thread, uint64_t key, uint64_t deadline_ns) {
  // Without an order log no arrival is ordered.
  const bool ordered = order_mode() != OrderMode::kFree;
  enqueue_unordered_waiter(thread, key, deadline_ns, ordered ? 0 : 1);
}

void enqueue_unordered_waiter(Thread& thread, uint64_t key, uint64_t deadline_ns, uint32_t tag) {
  thread.state = ThreadState::kWaiting;
  append(thread, key);
  set_unsettled(thread, tag);
  if (deadline_ns != kNoDeadline) arm(thread.timer, deadline_ns);
}

void describe_wait(Thread& thread, wire::WaitKind kind) {
  thread.wait_kind = kind;
  thread.wait_sequence = g_last_known_wait = order_sequence();
  if (has_owner(kind)) ++g_table->waiters_for_owners;
}

uint32_t waiters_for_owners() { return g_table->waiters_for_owners; }
bool known_wait_began() { return g_last_known_wait == order_sequence(); }
bool began_now(const Thread& waiter) { return waiter.wait_sequence == order_sequence(); }

void settle_arrivals(void (*visit)(Thread& thread)) {
  for (uint32_t i = 0; i < g_table->slots && g_table->unsettled != 0; ++i) {
    Thread& waiter = g_table->threads[i];
    if (waiter.unsettled == 0) continue;
    visit(waiter);
    unlink(waiter);
    append(waiter, waiter.wait_key);
    set_unsettled(waiter, 0);
  }
}

void wake_thread(Thread& thread, Wake reason) {
  EVENKEEL_CHECK(thread.state == ThreadState::kWaiting);
  unlink(thread);
  set_unsettled(thread, 0);
  forget_wait(thread);
  disarm(thread.timer);
  thread.wake = reason;
  make_ready(thread);
}

uint32_t wake(uint64_t key, uint32_t count) {
  uint32_t woken = 0;
  Thread* candidate = bucket_of(key).head;
  while (woken < count && (candidate = find_from(candidate, key)) != nullptr) {
    Thread* following = candidate->next;
    wake_thread(*candidate, Wake::kWoken);
    ++woken;
    candidate = following;
  }
  return woken;
}

Thread* first_waiter(uint64_t key) { return find_from(bucket_of(key).head, key); }
Thread* next_waiter(const Thread& thread) { return find_from(thread.next, thread.wait_key); }

uint32_t requeue(uint64_t from, uint64_t to, uint32_t count) {
  uint32_t moved = 0;
  while (moved < count) {
    Thread* waiter = first_waiter(from);
    if (waiter == nullptr) break;
    unlink(*waiter);
    append(*waiter, to);
    ++moved;
  }
  return moved;
}

}  // namespace evenkeel::sched
