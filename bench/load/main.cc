// evenkeel-load: load for a memcached-like server, with every answer checked.
#include <cstdio>
#include <stdexcept>

#include "bench/load/client.h"
#include "bench/load/process_tree.h"

namespace {

using namespace evenkeel::load;

constexpr uint32_t kPreloadPipeline = 16;

struct Measured {
  uint64_t requests = 0;
  double seconds = 0;
  double cpu_seconds = 0;
  Histogram latencies;
  std::string failure;
};

std::unique_ptr<Workload> make_workload(const Options& options) {
  switch (options.mode) {
    case Mode::kShared:
      return make_shared_keys(options);
    case Mode::kContended:
      return make_contended(options);
    case Mode::kExclusive:
      break;
  }
  return make_exclusive(options);
}

double cpu_now(const Options& options) {
  return options.cpu_pid == 0 ? 0 : tree_cpu_seconds(options.cpu_pid);
}

// Big values: few in flight, or the client's memory is what is measured.
uint32_t preload_pipeline(const Options& options) {
  return options.value_bytes > (64 << 10) ? 1 : kPreloadPipeline;
}

void run_main_phase(const Options& options, Client& client, Measured& measured) {
  const double cpu_before = cpu_now(options);
  const uint64_t begin_ns = monotonic_ns();
  client.run(Phase::kMain, options.pipeline, &measured.latencies);
  measured.seconds = static_cast<double>(monotonic_ns() - begin_ns) * 1e-9;
  measured.cpu_seconds = cpu_now(options) - cpu_before;
  measured.requests = options.requests;
}

void run(const Options& options, Workload& workload, Measured& measured) {
  Client client(options, workload);
  if (options.preload != Preload::kNo) {
    client.run(Phase::kPreload, preload_pipeline(options), nullptr);
  }
  if (options.preload == Preload::kOnly) return;
  run_main_phase(options, client, measured);
  workload.finish();
  // Shared counters have a final value, which is part of the answer.
  if (options.sweep || options.mode == Mode::kShared) {
    client.run(Phase::kSweep, preload_pipeline(options), nullptr);
  }
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

void print(const Options& options, const Workload& workload, const Measured& measured) {
  const double requests = static_cast<double>(measured.requests);
  const double rate = measured.seconds > 0 ? requests / measured.seconds : 0;
  std::printf("{\"requests\": %llu, \"seconds\": %.3f, \"requests_per_second\": %.0f, ",
              static_cast<unsigned long long>(measured.requests), measured.seconds, rate);
  std::printf(
      "\"wrong\": %llu, \"errors\": %llu, \"latency_p50_us\": %.1f, "
      "\"latency_p99_us\": %.1f, \"latency_max_us\": %.1f",
      static_cast<unsigned long long>(workload.wrong()),
      static_cast<unsigned long long>(workload.errors() + !measured.failure.empty()),
      static_cast<double>(measured.latencies.percentile(0.50)) * 1e-3,
      static_cast<double>(measured.latencies.percentile(0.99)) * 1e-3,
      static_cast<double>(measured.latencies.largest()) * 1e-3);
  if (options.cpu_pid != 0) {
    std::printf(", \"cpu_seconds\": %.2f, \"cpu_us_per_request\": %.3f", measured.cpu_seconds,
                requests > 0 ? measured.cpu_seconds * 1e6 / requests : 0);
  }
  if (!measured.failure.empty()) std::printf(", \"failure\": %s", quoted(measured.failure).c_str());
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  const std::unique_ptr<Workload> workload = make_workload(options);
  Measured measured;
  try {
    run(options, *workload, measured);
  } catch (const std::exception& error) {
    measured.failure = error.what();
    std::fprintf(stderr, "evenkeel-load: %s\n", error.what());
  }
  print(options, *workload, measured);
  if (workload->wrong() != 0) return 1;
  return measured.failure.empty() && workload->errors() == 0 ? 0 : 3;
}
