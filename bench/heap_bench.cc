// The deterministic heap beside glibc's malloc and calloc. Ours always zeroes what it hands out, so
// the fair partner is calloc; malloc is what servers call.
//   build/release/bin/heap_bench --benchmark_filter=Pair
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "runtime/core/heap.h"

namespace evenkeel {
namespace {

constexpr heap::Hooks kHooks{
    [] {}, [] {}, [](const char* what, const void*) { std::fprintf(stderr, "%s\n", what); },
    [](const void*) { std::fprintf(stderr, "a free was lost\n"); }};
constexpr heap::LaneId kLane{0};

struct Ours {
  static void* take(size_t bytes) { return heap::allocate(kLane, bytes); }
  static void give(void* object) { heap::release(kLane, object); }
  static void* resize(void* object, size_t bytes) { return heap::reallocate(kLane, object, bytes); }
};
struct Malloc {
  static void* take(size_t bytes) { return std::malloc(bytes); }
  static void give(void* object) { std::free(object); }
  static void* resize(void* object, size_t bytes) { return std::realloc(object, bytes); }
};
struct Calloc : Malloc {
  static void* take(size_t bytes) { return std::calloc(1, bytes); }
};

// One object at a time.
template <typename Allocator>
void Pair(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* object = Allocator::take(bytes);
    benchmark::DoNotOptimize(object);
    Allocator::give(object);
  }
}
void pair_sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t bytes : {16, 64, 200, 500, 1000, 4000, 16000, 60000, 1 << 20}) {
    benchmark->Arg(bytes);
  }
}
BENCHMARK_TEMPLATE(Pair, Ours)->Apply(pair_sizes);
BENCHMARK_TEMPLATE(Pair, Malloc)->Apply(pair_sizes);
BENCHMARK_TEMPLATE(Pair, Calloc)->Apply(pair_sizes);

// 1000 objects, then all of them back in the same order. Per object.
template <typename Allocator>
void Batch(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  std::vector<void*> objects(1000);
  for (auto _ : state) {
    for (void*& object : objects) object = Allocator::take(bytes);
    for (void* const object : objects) Allocator::give(object);
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK_TEMPLATE(Batch, Ours)->Arg(64)->Arg(500)->Arg(2000);
BENCHMARK_TEMPLATE(Batch, Malloc)->Arg(64)->Arg(500)->Arg(2000);
BENCHMARK_TEMPLATE(Batch, Calloc)->Arg(64)->Arg(500)->Arg(2000);

// A server's steady state: 20000 objects of mixed size, a random one replaced and written to.
template <typename Allocator>
void Churn(benchmark::State& state) {
  std::mt19937 random(1);
  std::vector<std::pair<uint64_t, uint64_t>> plan(1 << 16);
  for (auto& [slot, bytes] : plan) {
    slot = random() % 20000;
    bytes = random() % 32 == 0 ? random() % 8000 : 8 + random() % 400;
  }
  std::vector<void*> objects(20000);
  for (void*& object : objects) object = Allocator::take(100);
  size_t i = 0;
  for (auto _ : state) {
    const auto [slot, bytes] = plan[i++ % plan.size()];
    Allocator::give(objects[slot]);
    objects[slot] = Allocator::take(bytes);
    *static_cast<size_t*>(objects[slot]) = i;
  }
  for (void* const object : objects) Allocator::give(object);
}
BENCHMARK_TEMPLATE(Churn, Ours);
BENCHMARK_TEMPLATE(Churn, Malloc);
BENCHMARK_TEMPLATE(Churn, Calloc);

// A buffer that doubles from 64 bytes to 1 MiB.
template <typename Allocator>
void Grow(benchmark::State& state) {
  for (auto _ : state) {
    void* object = Allocator::take(64);
    for (size_t bytes = 128; bytes <= 1 << 20; bytes *= 2)
      object = Allocator::resize(object, bytes);
    benchmark::DoNotOptimize(object);
    Allocator::give(object);
  }
}
BENCHMARK_TEMPLATE(Grow, Ours);
BENCHMARK_TEMPLATE(Grow, Malloc);

// Per object: freed by another lane, and given back at the end of the batch.
void RemoteFree(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  std::vector<void*> objects(count);
  for (auto _ : state) {
    for (void*& object : objects) object = heap::allocate(kLane, 100);
    for (void* const object : objects) heap::release(heap::LaneId{1}, object);
    heap::apply_remote_frees();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(RemoteFree)->Arg(1)->Arg(100)->Arg(10000);

// What every batch pays when nothing was freed remotely, and for the list of used ranges.
void EmptyApply(benchmark::State& state) {
  for (auto _ : state) heap::apply_remote_frees();
}
BENCHMARK(EmptyApply);

void UsedRanges(benchmark::State& state) {
  for (uint32_t lane = 0; lane < state.range(0); ++lane) {
    benchmark::DoNotOptimize(heap::allocate(heap::LaneId{lane}, 100));
  }
  size_t count = 0;
  for (auto _ : state) {
    count = 0;
    heap::for_each_used_range([](void* context, Range) { ++*static_cast<size_t*>(context); },
                              &count);
  }
  state.counters["ranges"] = static_cast<double>(count);
}
BENCHMARK(UsedRanges)->Arg(8)->Arg(64)->Arg(1024);

}  // namespace
}  // namespace evenkeel

int main(int argc, char** argv) {
  evenkeel::heap::init(evenkeel::kHooks);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
