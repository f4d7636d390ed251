#pragma once
// Counters in Prometheus' text format, version 0.0.4.
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/host/stats.h"
#include "runtime/wire.h"

namespace evenkeel::host {

struct ReplicaMetrics {
  uint32_t index = 0;
  bool live = false;
  bool primary = false;
  uint64_t resident_bytes = 0;
};

struct Metrics {
  std::string name;  // of the run
  std::string version;
  Stats stats;
  std::vector<ReplicaMetrics> replicas;
  uint64_t coordinator_bytes = 0;  // resident
};

// From any thread: the deck is read only where it is atomic, or constant once a replica is
// attached.
[[nodiscard]] Metrics collect_metrics(const wire::Deck& deck, const Stats& stats,
                                      const std::string& name);
[[nodiscard]] std::string prometheus_text(const Metrics& metrics);

}  // namespace evenkeel::host
