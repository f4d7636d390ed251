// Ordinary traffic on an unmodified memcached: every answer right, no divergence.
#include <gtest/gtest.h>

#include <string_view>

#include "tests/e2e/scale.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

struct Load {
  const char* name;
  Words options;         // of evenkeel run
  Words arguments;       // of the load client
  uint64_t divisor = 1;  // of the number of requests
};

void PrintTo(const Load& test, std::ostream* out) { *out << test.name; }

const Load kLoads[] = {
    {"Get", {}, {"--write-fraction", "0", "--sweep"}},
    {"NineToOne", {}, {"--write-fraction", "0.1", "--sweep"}},
    {"Set", {}, {"--write-fraction", "1", "--sweep"}},
    {"Pipelined", {}, {"--write-fraction", "0.1", "--pipeline", "16", "--sweep"}},
    {"Deletes",
     {},
     {"--write-fraction", "0.3", "--delete-fraction", "0.2", "--incr-fraction", "0.1", "--get-keys",
      "5", "--sweep"}},
    {"SharedKeys",
     {},
     {"--shared", "--write-fraction", "0.3", "--incr-fraction", "0.3", "--pipeline", "4"}},
    {"Contended", {}, {"--contended", "--sweep"}},
    {"MprotectGet", {"--tracker", "mprotect"}, {"--write-fraction", "0", "--sweep"}, 10},
    {"MprotectSet", {"--tracker", "mprotect"}, {"--write-fraction", "1", "--sweep"}, 10},
    {"ThreeReplicas", {"--replicas", "3"}, {"--write-fraction", "0.3", "--sweep"}, 10},
    {"OneReplica", {"--replicas", "1"}, {"--write-fraction", "0.3", "--sweep"}, 10},
    {"Sequential", {"--mode", "sequential"}, {"--write-fraction", "0.3", "--sweep"}, 10},
    {"ParallelFollower", {"--follower", "parallel"}, {"--write-fraction", "0.3", "--sweep"}, 10},
};

class MemcachedLoad : public testing::TestWithParam<Load> {};

// At most 1 in 100,000 batches may diverge (memcached's own races): none in a short run. But with
// flush_all: its worker stores settings.oldest_live while others read it without a lock, a race of
// memcached 1.6.18 that shows whenever the two fall into one batch. The same mix with `version` in
// the place of flush_all gave 0 divergences in 1,600,000 requests.
void expect_calm(const nlohmann::json& status, bool flushes) {
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_EQ(status.at("faults"), 0) << status;
  EXPECT_EQ(status.at("replicas_live"), status.at("replicas")) << status;
  const auto batches = status.at("batches").get<uint64_t>();
  EXPECT_GT(batches, 0u);
  const auto divergences = status.at("divergences").get<uint64_t>();
  // The guard's suspects too, until it has learnt them, and waits that might be lost wake-ups.
  const uint64_t suspicions =
      status.at("suspects").get<uint64_t>() + status.at("suspected_waits").get<uint64_t>();
  EXPECT_EQ(status.at("rollbacks"), divergences + suspicions) << status;
  if (!flushes) {
    EXPECT_LE(divergences, batches / 100000) << status;
  }
}

TEST_P(MemcachedLoad, EveryAnswerIsRight) {
  const uint64_t requests = scale("EVENKEEL_TEST_REQUESTS", 50000) / GetParam().divisor;
  Server server = Server::evenkeel(GetParam().options, memcached_command({"-m", "512"}));
  Words arguments = GetParam().arguments;
  arguments.insert(arguments.end(), {"--requests", std::to_string(requests)});
  const LoadResult load = run_load(server.port(), arguments, Seconds{3600});
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_EQ(load.json.at("requests"), requests);
  expect_calm(server.status(), std::string_view(GetParam().name) == "Contended");
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

INSTANTIATE_TEST_SUITE_P(Loads, MemcachedLoad, testing::ValuesIn(kLoads),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace evenkeel::test
