#include "runtime/host/metrics.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "runtime/host/live_stats.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

Metrics sample() {
  Metrics metrics{"a\"b\\c", "1.0", {}, {{0, true, true, 4096}, {1, false, false, 0}}, 8192};
  metrics.stats.batches = 7;
  for (const uint64_t ns : {20'000U, 30'000U, 5'000'000U}) metrics.stats.batch_ns.add(ns);
  metrics.stats.group_inputs.add(1);
  metrics.stats.group_inputs.add(50);
  return metrics;
}

TEST(Metrics, AreInPrometheusTextFormat) {
  const std::string text = prometheus_text(sample());
  for (const char* line : {
           "# TYPE evenkeel_batches_total counter\n",
           "evenkeel_batches_total{run=\"a\\\"b\\\\c\"} 7\n",
           "evenkeel_batch_duration_seconds_bucket{run=\"a\\\"b\\\\c\",le=\"+Inf\"} 3\n",
           "evenkeel_batch_duration_seconds_count{run=\"a\\\"b\\\\c\"} 3\n",
           "evenkeel_batch_duration_seconds_bucket{run=\"a\\\"b\\\\c\",le=\"3.2767e-05\"} 2\n",
           "evenkeel_batch_duration_seconds_sum{run=\"a\\\"b\\\\c\"} 0.00505\n",
           "evenkeel_group_inputs_bucket{run=\"a\\\"b\\\\c\",le=\"1\"} 1\n",
           "evenkeel_replica_live{run=\"a\\\"b\\\\c\",replica=\"1\"} 0\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
}

TEST(Metrics, PromtoolAcceptsThem) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool";
  const test::TemporaryDirectory directory;
  const std::string file = (directory.path() / "metrics").string();
  std::ofstream(file) << prometheus_text(sample());
  const std::string output = file + ".out";
  EXPECT_EQ(std::system(("promtool check metrics <'" + file + "' >'" + output + "' 2>&1").c_str()),
            0)
      << test::read_file(output);
  EXPECT_EQ(test::read_file(output), "");
}

TEST(Histogram, CountsEveryValueOnce) {
  Histogram histogram;
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, UINT64_MAX}) {
    histogram.add(value);
  }
  EXPECT_EQ(histogram.bucket[0], 1U);  // below 1
  EXPECT_EQ(histogram.bucket[1], 1U);  // below 2
  EXPECT_EQ(histogram.bucket[2], 2U);  // below 4
  EXPECT_EQ(histogram.bucket[Histogram::kBuckets - 1], 1U);
}

TEST(LiveStats, AReaderNeverSeesHalfAWrite) {
  constexpr uint64_t kWrites = 200'000;
  LiveStats live;
  std::thread writer([&] {
    Stats stats;
    for (uint64_t i = 1; i <= kWrites; ++i) {
      stats.batches = stats.requests = stats.primary = i;
      live.publish(stats);
    }
  });
  uint64_t last = 0;
  while (last < kWrites) {
    const Stats seen = live.read();
    ASSERT_EQ(seen.batches, seen.requests);
    ASSERT_EQ(seen.batches, seen.primary);
    ASSERT_GE(seen.batches, last);
    last = seen.batches;
  }
  writer.join();
}

}  // namespace
}  // namespace evenkeel::host
