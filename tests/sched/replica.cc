#include "tests/sched/replica.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "runtime/core/arena.h"
#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/context.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/timers.h"

namespace evenkeel::test {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr uint32_t kSequence = 7;  // of the one command a child executes

// Of the child. Never destroyed: the child leaves by _exit.
struct Child {
  Role role;
  wire::Deck* deck = nullptr;
  std::function<void()> body;
  std::function<bool()> at_quiescence;
  std::vector<std::function<void()>> bodies;
  uint64_t quiescences = 0;
  bool begun = false;
  bool passed = false;
};
Child* g_child = nullptr;

// Wait keys of the harness itself: addresses of nothing else.
const uint64_t kBegin = reinterpret_cast<uint64_t>(&g_child);
const uint64_t kJoin = kBegin + 1;

[[noreturn]] void end(int status) {
  end_command();
  sys::exit_group(status);
}

void begin() {
  Child& child = *g_child;
  child.begun = true;
  sched::add_carriers(child.role.carriers);
  sched::set_parallelism(child.role.parallelism);
  sched::begin_order(child.role.mode, kSequence);
  unpark(kBegin);
}

bool expire_next() {
  const uint64_t deadline_ns = sched::next_deadline_ns();
  if (deadline_ns == UINT64_MAX) return false;
  sched::BatchTime now = sched::batch_time();
  if (deadline_ns > now.monotonic_ns) {
    now.realtime_ns += deadline_ns - now.monotonic_ns;
    now.monotonic_ns = deadline_ns;
    sched::set_batch_time(now);
  }
  sched::Guard guard;
  return sched::expire_one(now.monotonic_ns);
}

void quiescent() {
  Child& child = *g_child;
  if (!child.begun) return begin();
  ++child.quiescences;
  if (child.role.mode == sched::OrderMode::kRecord) sched::announce_quiet();
  if (child.at_quiescence && child.at_quiescence()) return;
  if (sched::stopping()) end(kDiverged);
  if (expire_next()) return;
  end(child.passed ? kPassed : kStuck);
}

[[noreturn]] void exit_thread() {
  sched::lock();
  sched::retire_thread(sched::self());
  sched::wake(kJoin, 1);
  sched::suspend_locked();
  __builtin_unreachable();
}

void run_first(void*) {
  park(kBegin);
  g_child->body();
  g_child->passed = true;
  exit_thread();
}

void run_other(void* index) {
  g_child->bodies[reinterpret_cast<size_t>(index)]();
  exit_thread();
}

sched::Thread& make_thread(void (*entry)(void*), void* argument) {
  auto* stack = static_cast<char*>(mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stack == MAP_FAILED) std::abort();
  sched::Thread* created = sched::allocate_thread();
  created->fs_base = sched::fs_base();
  created->sp =
      sched::make_call_context(reinterpret_cast<uint64_t>(stack + kStackBytes), entry, argument);
  return *created;
}

[[noreturn]] void live(const Role& role, wire::Deck* deck, std::function<void()> body) {
  g_child = new Child;
  g_child->role = role;
  g_child->deck = deck;
  g_child->body = std::move(body);
  g_child->bodies.reserve(wire::kMaxThreads);  // running threads look into it
  arena::init();
  sched::init_thread_pointers((getauxval(AT_HWCAP2) & 2) != 0);
  sched::init_threads();
  sched::init_timers();
  sched::init_order(*deck, role.index);
  sched::set_batch_time({1, 1'000'000'000'000, 1'700'000'000'000'000'000, 0, 1});
  sched::start({quiescent, [](sched::Carrier&) {}}, &make_thread(run_first, nullptr));
}

}  // namespace

wire::Deck* make_deck() {
  auto* deck = static_cast<wire::Deck*>(shared_memory(sizeof(wire::Deck)));
  deck->boot.replica_count = 2;  // what a replica does is compared
  return deck;
}
void release_deck(wire::Deck* deck) { munmap(deck, sizeof *deck); }

void* shared_memory(size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) std::abort();
  return mapped;
}

pid_t start_replica(const Role& role, wire::Deck* deck, std::function<void()> body) {
  const pid_t child = fork();
  if (child == 0) live(role, deck, std::move(body));
  return child;
}

int end_of(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_replica(const Role& role, std::function<void()> body) {
  wire::Deck* deck = make_deck();
  const int status = end_of(start_replica(role, deck, std::move(body)));
  release_deck(deck);
  return status;
}

sched::ThreadId spawn(std::function<void()> body) {
  g_child->bodies.push_back(std::move(body));
  auto* index = reinterpret_cast<void*>(g_child->bodies.size() - 1);
  sched::Guard guard;
  sched::Thread& created = make_thread(run_other, index);
  sched::make_ready(created);
  return created.id;
}

void join_all() {
  sched::lock();
  while (sched::live_threads() > 1) {
    sched::enqueue_waiter(sched::self(), kJoin, sched::kNoDeadline);
    sched::suspend_locked();
    sched::lock();
  }
  sched::unlock();
}

void at_quiescence(std::function<bool()> callback) { g_child->at_quiescence = std::move(callback); }

void end_command() {
  const Role& role = g_child->role;
  if (role.mode != sched::OrderMode::kRecord) return;
  g_child->deck->replicas[role.index].done_sequence.store(kSequence, std::memory_order_release);
  sched::announce_quiet();
}

void finish() { end(kPassed); }

uint64_t quiescences() { return g_child->quiescences; }

sched::Wake park(uint64_t key, uint64_t deadline_ns) {
  sched::lock();
  sched::enqueue_waiter(sched::self(), key, deadline_ns);
  sched::suspend_locked();
  return sched::self().wake;
}

uint32_t unpark(uint64_t key, uint32_t count) {
  sched::Guard guard;
  return sched::wake(key, count);
}

// What the coordinator does when a primary dies: the followers must not wait for it.
static void give_up_log() {
  if (g_child == nullptr || g_child->role.mode != sched::OrderMode::kRecord) return;
  g_child->deck->log.overflow.store(1, std::memory_order_release);
  sched::announce_quiet();
}

void fail(const char* file, int line, const char* what, int64_t left, int64_t right) {
  Text<512>()
      .add(file)
      .add(":")
      .add(line)
      .add(": not so: ")
      .add(what)
      .add("  (")
      .add(left)
      .add(", ")
      .add(right)
      .add(")\n")
      .write_to(STDERR_FILENO);
  give_up_log();
  sys::exit_group(kFailed);
}

}  // namespace evenkeel::test
