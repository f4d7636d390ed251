// What a batch costs per dirty page: fault, scan, compare, hash, commit, rollback, on both
// backends.
//
//   snapshot_bench [--benchmark_filter=...]
//
// Columns are nanoseconds per page that the batch wrote, each the median over the batches, which a
// busy machine does not disturb. `collect_commit` is what the snapshot adds to a batch besides the
// faults; `hash` is verify::update().
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "snapshot/snapshot.h"
#include "verify/hash.h"
#include "verify/verify.h"

namespace evenkeel::bench {
namespace {

using snapshot::Backend;
using snapshot::Kind;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kLibraries = 30;

void on_segv(int signal, siginfo_t* info, void*) {
  if (!snapshot::handle_write_fault(reinterpret_cast<uint64_t>(info->si_addr))) {
    ::signal(signal, SIG_DFL);
  }
}

void check(bool good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}

void map(Range range) {
  void* mapped = mmap(reinterpret_cast<void*>(range.begin), range.bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  check(mapped != MAP_FAILED, "mmap");
}

// A replica's address space: the arenas, and the globals of libraries among foreign mappings.
class Replica {
 public:
  Replica(Backend backend, uint64_t resident_bytes) : resident_bytes_(resident_bytes) {
    struct sigaction action = {};
    action.sa_sigaction = on_segv;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    image_fd_ = memfd_create("image", MFD_CLOEXEC);
    check(snapshot::init({.backend = backend, .image_fd = image_fd_, .compare = true}).ok(),
          "init");
    check(verify::init().ok(), "verify");
    for (const Range arena : {kHeapArena, kMapArena}) add(arena, Kind::kHashed, false);
    add(kStackArena, Kind::kStack, false);
    add(kKernelArena, Kind::kTracked, false);
    add(kHeapMetaArena, Kind::kTracked, false);
    for (uint64_t i = 0; i < kLibraries; ++i) {
      const uint64_t base = 0x7f00'0000'0000 + i * 4 * kMiB;
      map({base - kMiB, 16 * kPageBytes});  // text, not ours
      ranges_.push_back({base - kMiB, 16 * kPageBytes});
      add({base, 4 * kPageBytes}, Kind::kHashed, true);
    }
    populate();
  }
  ~Replica() {
    snapshot::shutdown();
    for (const Range range : ranges_) munmap(reinterpret_cast<void*>(range.begin), range.bytes);
    close(image_fd_);
  }
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  [[nodiscard]] static std::vector<uint64_t>& hashed_of(const snapshot::DirtyPages& dirty) {
    static std::vector<uint64_t> pages;
    pages.clear();
    for (size_t i = 0; i < dirty.count; ++i) {
      const auto& page = dirty.pages[i];
      if (page.kind == Kind::kHashed && !page.unchanged) pages.push_back(page.address);
    }
    return pages;
  }

  // What the allocators know, told before every collect.
  void tell_used() const {
    const Range heap = {kHeapArena.begin, resident_bytes_};
    snapshot::set_used_ranges(kHeapArena, &heap, 1);
    for (const Range arena : {kMapArena, kStackArena, kHeapMetaArena, kKernelArena}) {
      const Range used = {arena.begin, 8 * kMiB};
      snapshot::set_used_ranges(arena, &used, 1);
    }
  }

  // Distinct pages of the heap, ascending.
  [[nodiscard]] std::vector<uint64_t> pick(size_t count, std::mt19937_64& random) const {
    std::set<uint64_t> chosen;
    while (chosen.size() < count) {
      chosen.insert(kHeapArena.begin + random() % (resident_bytes_ / kPageBytes) * kPageBytes);
    }
    return {chosen.begin(), chosen.end()};
  }

 private:
  void add(Range range, Kind kind, bool extra) {
    map(range);
    ranges_.push_back(range);
    check(snapshot::add_region(range, kind).ok(), "add_region");
    if (extra) check(verify::add_range(range).ok(), "add_range");
  }
  void populate() const {
    for (uint64_t at = 0; at < resident_bytes_; at += kPageBytes) {
      memset(reinterpret_cast<void*>(kHeapArena.begin + at), static_cast<int>(at / kPageBytes | 1),
             kPageBytes);
    }
    snapshot::DirtyPages dirty = {};
    check(snapshot::collect(dirty).ok(), "collect");
    const auto& pages = hashed_of(dirty);
    verify::update(pages.data(), pages.size());
    verify::settle();
    snapshot::commit(true);
  }

  uint64_t resident_bytes_;
  std::vector<Range> ranges_;
  int image_fd_ = -1;
};

uint64_t now_ns() { return sys::monotonic_ns(); }

// What each batch spent in one phase.
class Phase {
 public:
  void add(uint64_t ns) { batches_.push_back(ns); }
  [[nodiscard]] double median() {
    if (batches_.empty()) return 0;
    const auto middle = batches_.begin() + static_cast<long>(batches_.size() / 2);
    std::nth_element(batches_.begin(), middle, batches_.end());
    return static_cast<double>(*middle);
  }

 private:
  std::vector<uint64_t> batches_;
};

struct Costs {
  Phase fault, scan, compare, commit, collect_commit, hash, rollback;

  void add(const snapshot::Stats& before, const snapshot::Stats& after) {
    scan.add(after.scan_ns - before.scan_ns);
    compare.add(after.compare_ns - before.compare_ns);
    commit.add(after.commit_ns - before.commit_ns);
    rollback.add(after.rollback_ns - before.rollback_ns);
    collect_commit.add(after.scan_ns + after.compare_ns + after.commit_ns - before.scan_ns -
                       before.compare_ns - before.commit_ns);
  }
};

void write_pages(const std::vector<uint64_t>& pages, uint64_t salt) {
  for (const uint64_t page : pages) {
    auto* word = reinterpret_cast<volatile uint64_t*>(page + (salt * 264) % kPageBytes / 8 * 8);
    *word = *word + salt;
  }
}

void report(benchmark::State& state, Costs& costs, size_t pages) {
  const auto each = [pages](Phase& phase) {
    return benchmark::Counter(phase.median() / static_cast<double>(pages));
  };
  state.counters["fault"] = each(costs.fault);
  state.counters["scan"] = each(costs.scan);
  state.counters["compare"] = each(costs.compare);
  state.counters["commit"] = each(costs.commit);
  state.counters["collect_commit"] = each(costs.collect_commit);
  state.counters["hash"] = each(costs.hash);
  state.counters["rollback"] = each(costs.rollback);
}

// A server in its steady state: `hot` pages are written by every batch, `cold` ones are chosen
// anew.
void run_batches(benchmark::State& state, Backend backend, bool roll_back) {
  const auto resident_bytes = static_cast<uint64_t>(state.range(0)) * kMiB;
  const auto cold_count = static_cast<size_t>(state.range(1));
  const auto hot_count = static_cast<size_t>(state.range(2));
  Replica replica(backend, resident_bytes);
  std::mt19937_64 random(1);
  const auto hot = replica.pick(hot_count, random);
  Costs costs;
  uint64_t batch = 0;
  const auto one_batch = [&] {
    const auto cold = replica.pick(cold_count, random);
    const snapshot::Stats before = snapshot::stats();
    const uint64_t started = now_ns();
    write_pages(hot, ++batch);
    write_pages(cold, batch);
    costs.fault.add(now_ns() - started);
    replica.tell_used();
    snapshot::DirtyPages dirty = {};
    check(snapshot::collect(dirty).ok(), "collect");
    const auto& hashed = Replica::hashed_of(dirty);
    const uint64_t collected = now_ns();
    verify::update(hashed.data(), hashed.size());
    costs.hash.add(now_ns() - collected);
    if (roll_back) {
      verify::undo();
      snapshot::rollback();
    } else {
      verify::settle();
      snapshot::commit(true);
    }
    costs.add(before, snapshot::stats());
  };
  for (int i = 0; i < 100; ++i) one_batch();  // until hot pages are hot
  costs = {};
  for (auto _ : state) one_batch();
  report(state, costs, hot_count + cold_count);
}

void uffd_commit(benchmark::State& state) { run_batches(state, Backend::kUserfaultfd, false); }
void mprotect_commit(benchmark::State& state) { run_batches(state, Backend::kMprotect, false); }
void uffd_rollback(benchmark::State& state) { run_batches(state, Backend::kUserfaultfd, true); }
void mprotect_rollback(benchmark::State& state) { run_batches(state, Backend::kMprotect, true); }

void batches(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"resident_MiB", "cold", "hot"})->Iterations(2000);
  for (const int64_t resident : {16, 64, 1024}) {
    benchmark->Args({resident, 64, 0})->Args({resident, 32, 32})->Args({resident, 0, 64});
  }
}
void rollbacks(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"resident_MiB", "cold", "hot"})->Iterations(500)->Args({64, 64, 0});
}
BENCHMARK(uffd_commit)->Apply(batches)->Unit(benchmark::kMicrosecond);
BENCHMARK(mprotect_commit)->Apply(batches)->Unit(benchmark::kMicrosecond);
BENCHMARK(uffd_rollback)->Apply(rollbacks)->Unit(benchmark::kMicrosecond);
BENCHMARK(mprotect_rollback)->Apply(rollbacks)->Unit(benchmark::kMicrosecond);

// ---------------------------------------------------------------- single operations on a page

void hash_page(benchmark::State& state, verify::HashFunction hash) {
  alignas(64) static uint8_t page[kPageBytes];
  memset(page, 3, sizeof(page));
  for (auto _ : state) benchmark::DoNotOptimize(hash(page, sizeof(page), 0));
}
BENCHMARK_CAPTURE(hash_page, sse2, verify::hash_sse2);
BENCHMARK_CAPTURE(hash_page, avx2, verify::hash_avx2);

void hash_node(benchmark::State& state) {
  alignas(64) static uint8_t node[4096];
  const auto bytes = static_cast<size_t>(state.range(0)) * sizeof(wire::Token);
  verify::choose_hash();
  for (auto _ : state) benchmark::DoNotOptimize(verify::hash_bytes(node, bytes, 1));
}
BENCHMARK(hash_node)->ArgName("children")->Arg(16)->Arg(32)->Arg(64);

}  // namespace
}  // namespace evenkeel::bench

BENCHMARK_MAIN();
