#include "runtime/host/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "runtime/host/clock.h"

namespace evenkeel::host {
namespace {

struct CounterRow {
  const char* name;
  const char* help;
  uint64_t Stats::*value;
};

constexpr CounterRow kCounters[] = {
    {"batches", "Batches of inputs executed.", &Stats::batches},
    {"requests", "Reads from clients that brought data.", &Stats::requests},
    {"divergences", "Batches whose first execution did not agree.", &Stats::divergences},
    {"faults", "Crashes, hangs, deadlocks and replicas that died.", &Stats::faults},
    {"deadlocks", "Deadlocks, which are faults too.", &Stats::deadlocks},
    {"lost_wakeups", "Lost wake-ups, which are faults too.", &Stats::lost_wakeups},
    {"rollbacks", "Times that all replicas restored the image.", &Stats::rollbacks},
    {"reexecutions", "Batches executed again, one input at a time.", &Stats::reexecutions},
    {"suspects", "Batches executed again because of the guard.", &Stats::suspects},
    {"leaks", "Differences even one input at a time.", &Stats::leaks},
    {"poisoned_inputs", "Inputs that crash or hang the server even alone.", &Stats::poisoned},
    {"rejoins", "Lost replicas that were replaced.", &Stats::rejoins},
    {"dirty_pages", "Hashed pages that differed from the image, over all batches.",
     &Stats::dirty_pages},
};

// What stands in a label's quotes.
std::string label(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void add_head(std::string& out, const char* name, const char* help, const char* type) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

// `scale`: what a value of 1 means in the metric's unit.
void add_histogram(std::string& out, const char* name, const char* help, const std::string& run,
                   const Histogram& histogram, double scale, size_t first, size_t last) {
  add_head(out, name, help, "histogram");
  uint64_t count = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    count += histogram.bucket[i];
    if (i < first || i > last) continue;
    // Values are whole numbers: below 2^i is at most 2^i - 1.
    const auto bound = static_cast<double>((uint64_t{1} << i) - 1);
    fmt::format_to(std::back_inserter(out), "{}_bucket{{run=\"{}\",le=\"{:.9g}\"}} {}\n", name, run,
                   bound * scale, count);
  }
  fmt::format_to(std::back_inserter(out), "{}_bucket{{run=\"{}\",le=\"+Inf\"}} {}\n", name, run,
                 count);
  fmt::format_to(std::back_inserter(out), "{}_sum{{run=\"{}\"}} {:.9g}\n", name, run,
                 static_cast<double>(histogram.sum) * scale);
  fmt::format_to(std::back_inserter(out), "{}_count{{run=\"{}\"}} {}\n", name, run, count);
}

// 0: there is no such process.
uint64_t resident_bytes(int pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Metrics collect_metrics(const wire::Deck& deck, const Stats& stats, const std::string& name) {
  Metrics metrics{name, EVENKEEL_VERSION, stats, {}, resident_bytes(::getpid())};
  const uint32_t live = deck.live_mask.load();
  for (uint32_t i = 0; i < deck.boot.replica_count; ++i) {
    const wire::Replica& replica = deck.replicas[i];
    const bool attached = replica.attached.load() != 0;
    metrics.replicas.push_back(
        {i, (live >> i & 1) != 0, i == stats.primary, attached ? resident_bytes(replica.pid) : 0});
  }
  return metrics;
}

std::string prometheus_text(const Metrics& metrics) {
  const std::string run = label(metrics.name);
  std::string out;
  const auto put = std::back_inserter(out);
  add_head(out, "evenkeel_info", "Version of the runtime.", "gauge");
  fmt::format_to(put, "evenkeel_info{{run=\"{}\",version=\"{}\"}} 1\n", run, metrics.version);
  for (const CounterRow& row : kCounters) {
    const std::string name = fmt::format("evenkeel_{}_total", row.name);
    add_head(out, name.c_str(), row.help, "counter");
    fmt::format_to(put, "{}{{run=\"{}\"}} {}\n", name, run, metrics.stats.*row.value);
  }
  constexpr double kSecond = 1.0 / static_cast<double>(kNsPerSecond);
  // From 16 us to 34 s.
  add_histogram(out, "evenkeel_batch_duration_seconds",
                "From a batch's start to the release of its answers.", run, metrics.stats.batch_ns,
                kSecond, 14, 35);
  add_histogram(out, "evenkeel_group_inputs", "Inputs of a parallel group.", run,
                metrics.stats.group_inputs, 1, 1, 15);
  add_head(out, "evenkeel_replica_live", "1: the replica takes part.", "gauge");
  for (const ReplicaMetrics& r : metrics.replicas) {
    fmt::format_to(put, "evenkeel_replica_live{{run=\"{}\",replica=\"{}\"}} {}\n", run, r.index,
                   r.live ? 1 : 0);
  }
  add_head(out, "evenkeel_resident_memory_bytes", "Resident memory of the run's processes.",
           "gauge");
  fmt::format_to(put, "evenkeel_resident_memory_bytes{{run=\"{}\",process=\"coordinator\"}} {}\n",
                 run, metrics.coordinator_bytes);
  for (const ReplicaMetrics& r : metrics.replicas) {
    fmt::format_to(put, "evenkeel_resident_memory_bytes{{run=\"{}\",process=\"replica{}\"}} {}\n",
                   run, r.index, r.resident_bytes);
  }
  return out;
}

}  // namespace evenkeel::host
