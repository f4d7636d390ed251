// Threads that nobody joins, many of which are born and end in one batch.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "tests/e2e/scale.h"
#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

constexpr int kClients = 24;

// Each a connection, and so a thread, of its own; the requests, and then the ends, come together.
void visit(const Server& server, long& count) {
  std::deque<MemcacheClient> clients;
  for (int i = 0; i < kClients; ++i) clients.emplace_back(server.port());
  for (MemcacheClient& client : clients) client.send("add\n");
  long sum = 0;
  for (MemcacheClient& client : clients) sum += std::stol(client.receive_until("\n"));
  for (int i = 0; i < kClients; ++i) sum -= ++count;
  EXPECT_EQ(sum, 0);
}

long stacks_seen(const Server& server) {
  MemcacheClient client(server.port());
  client.send("stacks\n");
  return std::stol(client.receive_until("\n"));
}

TEST(Detached, ThreadsEndInOneOrderAndTheirStacksAreUsedAgain) {
  const uint64_t rounds = scale("EVENKEEL_TEST_REQUESTS", 600) / kClients;
  for (const auto& options : {Words{}, Words{"--force-mismatch", "3"}}) {
    for (const char* created : {"--attached", "--detached"}) {
      SCOPED_TRACE(created + (options.empty() ? "" : " " + options.front()));
      Server server =
          Server::evenkeel(options, {EVENKEEL_BIN_DIR "/e2e_faulty_server", "{port}", created});
      long count = 0;
      for (uint64_t i = 0; i < rounds; ++i) visit(server, count);
      const auto status = server.status();
      EXPECT_EQ(status.at("leaks"), 0);
      if (options.empty()) {
        EXPECT_EQ(status.at("divergences"), 0);
      }
      EXPECT_LT(stacks_seen(server), 4 * kClients);
    }
  }
}

}  // namespace
}  // namespace evenkeel::test
