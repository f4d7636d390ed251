// What a lock and a switch cost: nanoseconds per operation, by order mode, beside glibc's.
//   sched_bench [MILLIONS]     operations per measurement, default 5 million
#include <pthread.h>
#include <semaphore.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sync/deadlock.h"
#include "runtime/sync/sync.h"
#include "tests/sched/replica.h"

namespace evenkeel::test {
namespace {

using sched::OrderMode;

uint64_t g_operations = 5'000'000;

constexpr Role kSequential{OrderMode::kFree, 1, 1, 0};
constexpr Role kSerialPrimary{OrderMode::kRecord, 1, 1, 0};
constexpr Role kParallelPrimary{OrderMode::kRecord, 2, 2, 0};
constexpr Role kSerialFollower{OrderMode::kReplay, 1, 1, 1};

double elapsed_ns(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

// What a thread does g_operations / threads times.
using Operation = void (*)();

void repeat(Operation operation, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) operation();
}

// In a replica: `threads` threads share the operations.
void measure(Operation operation, uint32_t threads, double& ns) {
  sync::init();
  const uint64_t each = g_operations / threads;
  ns = elapsed_ns([=] {
         for (uint32_t i = 0; i < threads; ++i) spawn([=] { repeat(operation, each); });
         join_all();
       }) /
       static_cast<double>(each * threads);
}

double in_replica(const Role& role, Operation operation, uint32_t threads,
                  wire::Deck* deck = nullptr) {
  auto& ns = shared<double>();
  wire::Deck* own = deck == nullptr ? make_deck() : deck;
  const int end = end_of(start_replica(role, own, [&] { measure(operation, threads, ns); }));
  if (deck == nullptr) release_deck(own);
  return end == kPassed ? ns : -1;
}

// A follower of a primary that has finished: the log is all there.
double following(Operation operation, uint32_t threads) {
  wire::Deck* deck = make_deck();
  // What one thread can log in a batch.
  const uint64_t all = g_operations;
  g_operations = std::min<uint64_t>(all, 3'000'000);
  in_replica(kSerialPrimary, operation, threads, deck);
  const double ns = in_replica(kSerialFollower, operation, threads, deck);
  g_operations = all;
  release_deck(deck);
  return ns;
}

double in_process(Operation operation, uint32_t threads) {
  const uint64_t each = g_operations / threads;
  return elapsed_ns([=] {
           std::vector<std::thread> all;
           for (uint32_t i = 0; i < threads; ++i) all.emplace_back(repeat, operation, each);
           for (auto& thread : all) thread.join();
         }) /
         static_cast<double>(each * threads);
}

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t g_recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
pthread_rwlock_t g_rwlock = PTHREAD_RWLOCK_INITIALIZER;
pthread_spinlock_t g_spin;
sem_t g_semaphore;
pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;

struct Row {
  const char* name;
  Operation ours;
  Operation real;
};
const Row kRows[] = {
    {"mutex lock + unlock", [] { sync::mutex_lock(&g_mutex), sync::mutex_unlock(&g_mutex); },
     [] { pthread_mutex_lock(&g_mutex), pthread_mutex_unlock(&g_mutex); }},
    {"recursive mutex lock + unlock",
     [] { sync::mutex_lock(&g_recursive), sync::mutex_unlock(&g_recursive); },
     [] { pthread_mutex_lock(&g_recursive), pthread_mutex_unlock(&g_recursive); }},
    {"mutex trylock + unlock", [] { sync::mutex_trylock(&g_mutex), sync::mutex_unlock(&g_mutex); },
     [] { pthread_mutex_trylock(&g_mutex), pthread_mutex_unlock(&g_mutex); }},
    {"spin lock + unlock", [] { sync::spin_lock(&g_spin), sync::spin_unlock(&g_spin); },
     [] { pthread_spin_lock(&g_spin), pthread_spin_unlock(&g_spin); }},
    {"rwlock read + unlock", [] { sync::rwlock_rdlock(&g_rwlock), sync::rwlock_unlock(&g_rwlock); },
     [] { pthread_rwlock_rdlock(&g_rwlock), pthread_rwlock_unlock(&g_rwlock); }},
    {"semaphore post + wait", [] { sync::sem_post(&g_semaphore), sync::sem_wait(&g_semaphore); },
     [] { sem_post(&g_semaphore), sem_wait(&g_semaphore); }},
    {"condition signal, nobody waits", [] { sync::cond_signal(&g_cond); },
     [] { pthread_cond_signal(&g_cond); }},
};

void print_row(const char* name, std::initializer_list<double> ns) {
  std::printf("%-34s", name);
  for (const double value : ns) std::printf(" %10.1f", value);
  std::printf("\n");
}

void header(const char* title, std::initializer_list<const char*> columns) {
  std::printf("\n%-34s", title);
  for (const char* column : columns) std::printf(" %10s", column);
  std::printf("\n");
}

void measure_uncontended() {
  header("uncontended, ns", {"glibc", "free", "primary", "follower"});
  for (const Row& row : kRows) {
    sync::spin_init(&g_spin, 0);
    sync::sem_init(&g_semaphore, 0, 0);
    const double free = in_replica(kSequential, row.ours, 1);
    const double primary = in_replica(kSerialPrimary, row.ours, 1);
    const double follower = following(row.ours, 1);
    pthread_spin_init(&g_spin, 0);
    sem_init(&g_semaphore, 0, 0);
    print_row(row.name, {in_process(row.real, 1), free, primary, follower});
  }
}

// The follower has one processor, the primary two.
void measure_contended() {
  header("4 threads, one object, ns", {"glibc", "free", "primary", "follower"});
  for (const Row& row : kRows) {
    sync::spin_init(&g_spin, 0);
    sync::sem_init(&g_semaphore, 0, 0);
    const double free = in_replica(kSequential, row.ours, 4);
    const double primary = in_replica(kParallelPrimary, row.ours, 4);
    wire::Deck* deck = make_deck();
    const uint64_t all = g_operations;
    g_operations = std::min<uint64_t>(all, 3'000'000);
    in_replica(kParallelPrimary, row.ours, 4, deck);
    const double follower = in_replica(kSerialFollower, row.ours, 4, deck);
    g_operations = all;
    release_deck(deck);
    pthread_spin_init(&g_spin, 0);
    sem_init(&g_semaphore, 0, 0);
    print_row(row.name, {in_process(row.real, 4), free, primary, follower});
  }
}

void ping_pong(sched::Thread& other, uint64_t key) {
  sched::lock();
  if (other.state == sched::ThreadState::kWaiting) sched::wake_thread(other, sched::Wake::kWoken);
  sched::enqueue_waiter(sched::self(), key, sched::kNoDeadline);
  sched::suspend_locked();
}

// Two threads, each wakes the other and parks: a wake-up, a park and a switch per operation.
double measure_park(const Role& role) {
  auto& ns = shared<double>();
  wire::Deck* deck = make_deck();
  const auto body = [&] {
    const uint64_t count = g_operations / 2;
    ns = elapsed_ns([&] {
           spawn([=] {
             for (uint64_t i = 0; i < count; ++i) ping_pong(sched::thread(sched::ThreadId{2}), 1);
             unpark(2);
           });
           spawn([=] {
             for (uint64_t i = 0; i < count; ++i) ping_pong(sched::thread(sched::ThreadId{1}), 2);
             unpark(1);
           });
           join_all();
         }) /
         static_cast<double>(2 * count);
  };
  const int end = end_of(start_replica(role, deck, body));
  release_deck(deck);
  return end == kPassed ? ns : -1;
}

void measure_switches() {
  header("switches, ns", {"serial", "2 carriers"});
  print_row("yield, two threads", {in_replica(kSequential, sched::yield, 2),
                                   in_replica({OrderMode::kFree, 2, 2, 0}, sched::yield, 2)});
  print_row("wake the other and park",
            {measure_park(kSequential), measure_park({OrderMode::kFree, 2, 2, 0})});
  print_row("kernel lock + unlock",
            {in_replica(
                 kSequential, [] { sched::Guard guard; }, 1),
             in_replica(
                 {OrderMode::kFree, 2, 2, 0}, [] { sched::Guard guard; }, 2)});
}

// What the pump does at the end of each command, with `idle` threads waiting for work, and one that
// waits for a lock whose owner waits for input.
double measure_look(uint32_t idle, bool lock_waiter, Operation look) {
  auto& ns = shared<double>();
  wire::Deck* deck = make_deck();
  const auto body = [&] {
    sync::init();
    at_quiescence([&] {
      ns = elapsed_ns([&] { repeat(look, g_operations); }) / static_cast<double>(g_operations);
      finish();
      return true;
    });
    for (uint32_t i = 0; i < idle; ++i) {
      spawn([] { sync::mutex_lock(&g_mutex), sync::cond_wait(&g_cond, &g_mutex); });
    }
    for (int i = 0; lock_waiter && i < 2; ++i) {
      spawn([] { sync::mutex_lock(&g_recursive), park(1); });
    }
  };
  const int end = end_of(start_replica(kSequential, deck, body));
  release_deck(deck);
  return end == kPassed ? ns : -1;
}

wire::Waits g_waits;

void measure_quiescence() {
  header("at quiescence, ns", {"alone", "8 idle", "lock held"});
  const auto row = [](const char* name, Operation look) {
    print_row(name, {measure_look(0, false, look), measure_look(8, false, look),
                     measure_look(8, true, look)});
  };
  row("find_deadlock", [] { static_cast<void>(sync::find_deadlock(g_waits)); });
  row("list_new_waits", [] { sync::list_new_waits(g_waits); });
}

int run(int argc, char** argv) {
  if (argc == 2) g_operations = std::strtoull(argv[1], nullptr, 10) * 1'000'000;
  if (argc > 2 || g_operations == 0) {
    std::fprintf(stderr, "usage: %s [MILLIONS]\n", argv[0]);
    return 2;
  }
  measure_uncontended();
  measure_contended();
  measure_switches();
  measure_quiescence();
  return 0;
}

}  // namespace
}  // namespace evenkeel::test

int main(int argc, char** argv) { return evenkeel::test::run(argc, argv); }
