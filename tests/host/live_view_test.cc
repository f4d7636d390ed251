// --admin of a whole run, and top.
#include "runtime/host/live_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "runtime/host/top.h"
#include "tests/host/harness.h"

namespace evenkeel::host {
namespace {

using test::Client;
using test::ServerRun;

uint16_t admin_port(ServerRun& run) {
  static_cast<void>(run.port());  // the server is up, so the live view has said where it is
  const std::string errors = run.errors();
  const std::string mark = "live view at http://127.0.0.1:";
  const size_t at = errors.find(mark);
  if (at == std::string::npos) throw std::runtime_error("no live view: " + errors);
  return static_cast<uint16_t>(std::stoi(errors.substr(at + mark.size())));
}

std::string get(uint16_t port, const std::string& path, const std::string& host = "127.0.0.1") {
  Client client(port);
  client.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  std::string answer;
  for (;;) {
    std::string line;
    try {
      line = client.line();
    } catch (const std::exception&) {
      return answer;
    }
    answer += line + "\n";
  }
}

TEST(AdminAddress, IsOfTheLoopbackOnly) {
  EXPECT_EQ(parse_admin_address("127.0.0.1:9464").port, 9464);
  EXPECT_EQ(parse_admin_address("[::1]:9464").host, "::1");
  EXPECT_EQ(parse_admin_address("localhost:0").host, "127.0.0.1");
  for (const char* bad :
       {"0.0.0.0:80", "10.0.0.1:80", "example.org:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
        "127.0.0.1:65536", "127.0.0.1:80x", ":80", "[::]:80", ""}) {
    EXPECT_THROW(static_cast<void>(parse_admin_address(bad)), std::invalid_argument) << bad;
  }
}

TEST(AdminAddress, HostHeadersOfOtherNamesAreRefused) {
  for (const char* good : {"127.0.0.1", "127.0.0.1:9464", "localhost:1", "[::1]:9464"}) {
    EXPECT_TRUE(is_local_host_header(good)) << good;
  }
  for (const char* bad : {"", "evil.example", "127.0.0.1.evil.example:80", "localhost.evil:80"}) {
    EXPECT_FALSE(is_local_host_header(bad)) << bad;
  }
}

TEST(LiveView, ShowsTheRunWhileItServes) {
  ServerRun run({"--admin", "127.0.0.1:0"});
  Client client = run.client();
  static_cast<void>(client.ask("!diverge"));
  static_cast<void>(run.status());  // the batch is over
  const uint16_t port = admin_port(run);
  const std::string metrics = get(port, "/metrics");
  EXPECT_NE(metrics.find("HTTP/1.1 200"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("evenkeel_divergences_total{run=\"fake\"} 1\n"), std::string::npos)
      << metrics;
  const std::string page = get(port, "/");
  EXPECT_NE(page.find("<b id=\"divergences\">1</b>"), std::string::npos) << page;
  EXPECT_NE(page.find("DIVERGENCE"), std::string::npos) << page;
  EXPECT_NE(get(port, "/nothing").find("HTTP/1.1 404"), std::string::npos);
  EXPECT_NE(get(port, "/metrics", "evil.example").find("HTTP/1.1 403"), std::string::npos);
}

// A client of the live view that never finishes its request is not waited for.
TEST(LiveView, NeitherServiceNorEndWaitForIt) {
  ServerRun run({"--admin", "127.0.0.1:0"});
  const uint16_t port = admin_port(run);
  std::vector<Client> idle;
  for (int i = 0; i < 8; ++i) {
    idle.emplace_back(port);
    idle.back().send("GET / HTTP/1.1\r\n");
  }
  Client client = run.client();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(client.ask("hello").empty());
  run.signal(SIGTERM);
  static_cast<void>(run.wait());
}

TEST(LiveView, IsOffByDefaultAndRefusesWhatItCannotHave) {
  ServerRun run;
  static_cast<void>(run.port());
  EXPECT_EQ(run.errors().find("live view"), std::string::npos);
  ServerRun first({"--admin", "127.0.0.1:0"});
  ServerRun second({"--admin", "127.0.0.1:" + std::to_string(admin_port(first))});
  EXPECT_EQ(second.exit_code(), 2);
  EXPECT_NE(second.errors().find("cannot listen on 127.0.0.1 port"), std::string::npos);
}

TEST(Top, ShowsRates) {
  const nlohmann::json before = {{"name", "store"}, {"batches", 100}, {"replicas_live", 2}};
  const nlohmann::json now = {{"name", "store"}, {"batches", 300}, {"replicas_live", 2}};
  const std::string text = top_text(before, now, 2);
  EXPECT_NE(text.find("batches                  300       100.0/s\n"), std::string::npos) << text;
  EXPECT_EQ(top_text(nullptr, now, 0).find("/s"), std::string::npos);
}

TEST(Top, OnceEndsAfterOneScreen) {
  ServerRun run;
  static_cast<void>(run.port());
  const auto top = test::evenkeel({"top", "--once", "--state-dir", run.state_dir().string()});
  EXPECT_EQ(top.status, 0) << top.errors;
  EXPECT_NE(top.output.find("2 of 2 replicas"), std::string::npos) << top.output;
  EXPECT_EQ(top.output.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::host
