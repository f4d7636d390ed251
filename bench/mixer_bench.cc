// What the mixer costs per request: reading the bytes, and the whole way from a batch to its
// groups.
//
//   mixer_bench [--benchmark_filter=...]
//
// `per_request` is CPU time. Must hold: 0.5 us for a dialect, 1 us for rules of 20 patterns.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/deck.h"
#include "runtime/host/mixer/batch_mixer.h"
#include "runtime/host/mixer/dialects.h"
#include "runtime/host/mixer/rules.h"

namespace evenkeel::bench {
namespace {

using host::Batch;
using host::BatchMixer;
using host::Dialect;

// Request i of a load: a key out of 1,000, three reads to a write.
using RequestText = std::string (*)(uint32_t i);

std::string key(uint32_t i) { return "key:" + std::to_string(i * 2654435761U % 1000); }

std::string memcached_text(uint32_t i) {
  return i % 4 == 0 ? "set " + key(i) + " 0 0 32\r\n" + std::string(32, 'x') + "\r\n"
                    : "get " + key(i) + "\r\n";
}
std::string redis_text(uint32_t i) {
  const std::string name = key(i);
  const std::string length = std::to_string(name.size());
  return i % 4 == 0 ? "*3\r\n$3\r\nSET\r\n$" + length + "\r\n" + name + "\r\n$5\r\nhello\r\n"
                    : "*2\r\n$3\r\nGET\r\n$" + length + "\r\n" + name + "\r\n";
}
std::string http_text(uint32_t i) {
  return (i % 4 == 0 ? "POST /" : "GET /") + key(i) +
         " HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n";
}
std::string mysql_text(uint32_t i) {
  const std::string sql = "\x03SELECT name FROM item WHERE id = " + std::to_string(i % 1000);
  return std::string{static_cast<char>(sql.size()), 0, 0, 0} + sql;
}

// Twenty patterns, of which the last two match this load.
std::unique_ptr<Dialect> twenty_rules() {
  std::string text;
  for (int i = 0; i < 18; ++i) {
    text += "request { kind: 'other' match: '^verb" + std::to_string(i) +
            " (?P<key>[^ ]+)' write { table: 'item' row: 'key' } }";
  }
  text +=
      "request { kind: 'get' match: '^get (?P<key>[^ ]+)$' read { table: 'item' row: 'key' } }"
      "request { kind: 'set' match: '^set (?P<key>[^ ]+) [0-9]+ [0-9]+ (?P<bytes>[0-9]+)$'"
      "          write { table: 'item' row: 'key' } body: 'bytes' body_extra: 2 }";
  return host::rules_dialect(text, "bench");
}

void mix(benchmark::State& state, std::unique_ptr<Dialect> (*dialect)(), RequestText request) {
  const auto connections = static_cast<uint32_t>(state.range(0));
  host::Deck deck;
  Batch batch(*deck);
  host::Stats stats;
  BatchMixer mixer(dialect(), wire::Order::kRecorded, 0, stats);
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < connections; ++i) texts.push_back(request(i));
  for (auto _ : state) {
    state.PauseTiming();
    batch.clear();
    for (uint32_t i = 0; i < connections; ++i) {
      std::memcpy(batch.cursor(), texts[i].data(), texts[i].size());
      batch.add_data(uint64_t{1} << wire::kChannelSlotBits | i,
                     static_cast<uint32_t>(texts[i].size()));
    }
    state.ResumeTiming();
    mixer.group(batch);
  }
  const auto batches = static_cast<double>(state.iterations());
  state.counters["groups"] = static_cast<double>(stats.groups) / batches;
  state.counters["per_request"] = benchmark::Counter(
      batches * connections, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (stats.unknown_footprints != 0) state.SkipWithError("not understood");
}

BENCHMARK_CAPTURE(mix, memcached, host::memcached_dialect, memcached_text)->Arg(50)->Arg(5000);
BENCHMARK_CAPTURE(mix, redis, host::redis_dialect, redis_text)->Arg(50)->Arg(5000);
BENCHMARK_CAPTURE(mix, http, host::http_dialect, http_text)->Arg(50)->Arg(5000);
BENCHMARK_CAPTURE(mix, mysql, host::mysql_dialect, mysql_text)->Arg(50)->Arg(5000);
BENCHMARK_CAPTURE(mix, rules_20, twenty_rules, memcached_text)->Arg(50)->Arg(5000);

}  // namespace
}  // namespace evenkeel::bench

BENCHMARK_MAIN();
