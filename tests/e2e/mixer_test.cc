// The mixer with real servers: what conflicts does not run together, and what it gets wrong costs
// no right answer.
#include <gtest/gtest.h>

#include "tests/e2e/scale.h"
#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

Words hot_counter(uint64_t requests) {
  return {"--shared",
          "--counters",
          "1",
          "--keys",
          "1",
          "--incr-fraction",
          "0.4",
          "--requests",
          std::to_string(requests),
          "--write-fraction",
          "0.3"};
}

Words store(const std::string& bug) { return kvstore_command({"--bug", bug, "--buckets", "16"}); }

// Two replicas that take locks in one order cannot see this bug, and here no guard looks: it does
// not happen.
TEST(Mixer, SplitLockCannotManifest) {
  Server server = Server::evenkeel({"--mixer", "memcached", "--guard", "off"}, store("split-lock"));
  const LoadResult load = run_load(server.port(), hot_counter(10000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_EQ(status.at("divergences"), 0) << status;
  EXPECT_GT(status.at("mixer_groups"), status.at("batches")) << status;
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

TEST(Mixer, LostUpdateCannotManifest) {
  Server server = Server::evenkeel({"--mixer", "memcached"}, store("lost-update"));
  const LoadResult load = run_load(server.port(), hot_counter(10000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_EQ(server.status().at("divergences"), 0) << server.status();
}

// One footprint in ten names other keys: the bug is back now and then, and is repaired.
TEST(Mixer, AWrongFootprintCostsNoRightAnswer) {
  Server server =
      Server::evenkeel({"--mixer", "memcached", "--mixer-lies", "10"}, store("lost-update"));
  const LoadResult load = run_load(server.port(), hot_counter(10000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_GT(status.at("divergences").get<int>() + status.at("suspects").get<int>(), 0) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
}

TEST(Mixer, ForcedRollbacksKeepTheStreams) {
  Server server =
      Server::evenkeel({"--mixer", "memcached", "--force-mismatch", "2"}, store("none"));
  const LoadResult load = run_load(server.port(), hot_counter(6000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_GT(status.at("forced_divergences"), 0) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
  EXPECT_LE(status.at("mixer_unknown"), 2) << status;  // the load's "stats" and its end
}

TEST(Mixer, Memcached) {
  for (const char* mode : {"parallel", "sequential"}) {
    Server server = Server::evenkeel({"--mixer", "memcached", "--mode", mode}, memcached_command());
    const LoadResult load = run_load(
        server.port(), {"--requests", "8000", "--write-fraction", "0.3", "--pipeline", "8"});
    EXPECT_EQ(load.status, 0) << load.complaints;
    const auto status = server.status();
    EXPECT_EQ(status.at("divergences"), 0) << status;
    EXPECT_EQ(status.at("leaks"), 0) << status;
  }
}

TEST(Mixer, WhatIsNoProtocolIsServedAllTheSame) {
  Server server =
      Server::evenkeel({"--mixer", "memcached", "--order", "independent"}, memcached_command());
  for (const std::string& garbage : {std::string(100000, 'x'), std::string(1000, '\x80'),
                                     std::string("set a 0 0 999999999999\r\nx\r\n")}) {
    MemcacheClient client(server.port());
    client.send(garbage);
  }
  const LoadResult load = run_load(server.port(), {"--requests", "500"});
  EXPECT_EQ(load.status, 0) << load.complaints;
  EXPECT_EQ(server.status().at("leaks"), 0) << server.status();
}

// A pool behind a queue, that nobody has annotated: which worker serves which connection is chance,
// and no two replicas choose alike.
Words pool() { return kvstore_command({"--bug", "none"}); }

Words shared_keys(uint64_t requests) {
  return {"--shared",
          "--counters",
          "8",
          "--keys",
          "32",
          "--incr-fraction",
          "0.4",
          "--write-fraction",
          "0.3",
          "--connections",
          "32",
          "--requests",
          std::to_string(requests)};
}

uint64_t number(const nlohmann::json& status, const char* name) {
  return status.at(name).get<uint64_t>();
}

TEST(Mixer, ReplicasOfTheirOwnOrderAgreeWithoutAnnotations) {
  Server server = Server::evenkeel({"--mixer", "memcached", "--order", "independent"}, pool());
  const LoadResult load = run_load(server.port(), shared_keys(10000));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_LE(number(status, "divergences") * 100, number(status, "batches")) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
}

TEST(Mixer, LearnsWhatToKeepApart) {
  const uint64_t requests = scale("EVENKEEL_LEARN_REQUESTS", 40000);
  Server server = Server::evenkeel({"--mixer", "learn", "--order", "independent"}, pool());
  EXPECT_EQ(run_load(server.port(), shared_keys(requests / 2)).status, 0);
  const auto warm = server.status();
  const LoadResult load = run_load(server.port(), shared_keys(requests));
  EXPECT_EQ(load.status, 0) << load.complaints;
  const auto status = server.status();
  EXPECT_GT(number(warm, "divergences"), 0U) << warm;
  EXPECT_GT(number(warm, "mixer_learnt"), 0U) << warm;
  const uint64_t batches = number(status, "batches") - number(warm, "batches");
  const uint64_t divergences = number(status, "divergences") - number(warm, "divergences");
  EXPECT_LE(divergences, 1 + batches / 1000) << status;
  EXPECT_EQ(status.at("leaks"), 0) << status;
}

}  // namespace
}  // namespace evenkeel::test
