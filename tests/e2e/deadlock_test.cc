// Threads that wait for ever: natively an outage, under Evenkeel a report.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>

#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

constexpr int kOutageMs = 3000;  // an answer takes less than one
constexpr int kPatienceMs = 60'000;

Words stuck_command() { return {EVENKEEL_BIN_DIR "/stuck_server", "{port}"}; }

class Client {
 public:
  explicit Client(uint16_t port) : fd_(connect_to(port)) {}

  void send(const std::string& line) const {
    const std::string bytes = line + "\n";
    ASSERT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Nothing if there is no answer in time, or the connection is closed.
  std::optional<std::string> answer(int timeout_ms = kPatienceMs) {
    while (input_.find('\n') == std::string::npos) {
      pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (poll(&entry, 1, timeout_ms) <= 0) return std::nullopt;
      char buffer[512];
      const ssize_t bytes = recv(fd_.get(), buffer, sizeof buffer, 0);
      if (bytes <= 0) return std::nullopt;
      input_.append(buffer, static_cast<size_t>(bytes));
    }
    const size_t end = input_.find('\n');
    std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    return line;
  }
  std::optional<std::string> ask(const std::string& line) {
    send(line);
    return answer();
  }

 private:
  Fd fd_;
  std::string input_;
};

// Both at once. False: an outage.
bool exchange(Client& one, Client& other, const std::string& first, const std::string& second,
              std::string (&answers)[2], int timeout_ms = kPatienceMs) {
  one.send(first);
  other.send(second);
  const auto a = one.answer(timeout_ms);
  const auto b = other.answer(timeout_ms);
  if (!a || !b) return false;
  answers[0] = *a;
  answers[1] = *b;
  return true;
}

// Exchanges until the native server is stuck.
bool gets_stuck(const std::string& first, const std::string& second) {
  constexpr int kAttempts = 200'000;
  Server server = Server::native(stuck_command());
  Client one(server.port());
  Client other(server.port());
  std::string answers[2];
  for (int i = 0; i < kAttempts; ++i) {
    if (!exchange(one, other, first, second, answers, kOutageMs)) return true;
  }
  return false;
}

struct Reports {  // of one bug
  int count;
  std::vector<nlohmann::json> full;
};

std::vector<Reports> reports_of(const Server& server, const std::string& kind) {
  std::vector<Reports> found;
  const auto words = [&](const Words& more) {
    Words all{evenkeel_path(), "report"};
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), {"--state-dir", server.state_dir(), "--name", server.name()});
    return all;
  };
  const Finished listed = run_to_end(words({"list", "--json"}));
  EXPECT_EQ(listed.ending.status, 0) << listed.err;
  const auto list = nlohmann::json::parse(listed.out);
  for (const auto& row : list.at("reports")) {
    if (row.at("kind") != kind) continue;
    Reports of_one{row.at("count"), {}};
    for (const auto& id : row.at("ids")) {
      const Finished shown = run_to_end(words({"show", id.get<std::string>(), "--json"}));
      EXPECT_EQ(shown.ending.status, 0) << shown.err;
      of_one.full.push_back(nlohmann::json::parse(shown.out));
    }
    found.push_back(std::move(of_one));
  }
  return found;
}

TEST(Deadlock, OfLockOrderStopsTheBareServer) { EXPECT_TRUE(gets_stuck("ab", "ba")); }

TEST(Deadlock, OfLockOrderIsMaskedAndReported) {
  constexpr int kWanted = 10;
  constexpr int kAttempts = 20'000;
  Server server = Server::evenkeel({}, stuck_command());
  Client one(server.port());
  Client other(server.port());
  std::string answers[2];
  long sum = 0;
  int deadlocks = 0;
  for (int i = 0; i < kAttempts && deadlocks < kWanted; ++i) {
    ASSERT_TRUE(exchange(one, other, "ab", "ba", answers)) << "outage at attempt " << i;
    sum += 4;
    ASSERT_EQ(std::max(std::stol(answers[0]), std::stol(answers[1])), sum);
    ASSERT_EQ(std::min(std::stol(answers[0]), std::stol(answers[1])), sum - 2);
    if (i % 100 == 99) deadlocks = server.status().at("deadlocks");
  }
  EXPECT_GE(deadlocks, kWanted);
  const auto status = server.status();
  EXPECT_EQ(status.at("leaks"), 0);
  EXPECT_EQ(status.at("poisoned_inputs"), 0);
  EXPECT_EQ(status.at("replicas_live"), 2);
  const auto reports = reports_of(server, "DEADLOCK");
  ASSERT_EQ(reports.size(), 1u) << "one bug is one line";
  EXPECT_EQ(reports[0].count, deadlocks);
  ASSERT_FALSE(reports[0].full.empty());
  for (const auto& report : reports[0].full) {
    const auto& waits = report.at("waits");
    ASSERT_EQ(waits.size(), 2u);
    EXPECT_EQ(waits[0].at("owner"), waits[1].at("thread"));
    EXPECT_EQ(waits[1].at("owner"), waits[0].at("thread"));
    const std::string places =
        waits[0].at("place").get<std::string>() + " " + waits[1].at("place").get<std::string>();
    EXPECT_NE(places.find("account_a"), std::string::npos) << places;
    EXPECT_NE(places.find("account_b"), std::string::npos) << places;
    EXPECT_EQ(report.at("outcome"), "all agree; no client saw the difference");
  }
  EXPECT_EQ(server.stop().signal, SIGTERM);
}

TEST(LostWakeup, StopsTheBareServer) { EXPECT_TRUE(gets_stuck("ask", "ask")); }

TEST(LostWakeup, IsMaskedAndReported) {
  constexpr int kWanted = 10;
  constexpr int kAttempts = 20'000;
  Server server = Server::evenkeel({}, stuck_command());
  Client one(server.port());
  Client other(server.port());
  std::string answers[2];
  int lost = 0;
  for (int i = 0; i < kAttempts && lost < kWanted; ++i) {
    ASSERT_TRUE(exchange(one, other, "ask", "ask", answers)) << "outage at attempt " << i;
    const long last = 2L * (i + 1);
    ASSERT_EQ(std::max(std::stol(answers[0]), std::stol(answers[1])), last);
    ASSERT_EQ(std::min(std::stol(answers[0]), std::stol(answers[1])), last - 1);
    if (i % 100 == 99) lost = server.status().at("lost_wakeups");
  }
  EXPECT_GE(lost, kWanted);
  EXPECT_EQ(server.status().at("leaks"), 0);
  const auto reports = reports_of(server, "LOST WAKE-UP");
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports[0].full.at(0).at("waits")[0].at("kind"), "condition variable");
}

// Requests that wait because they are meant to cost a few repetitions, then next to nothing.
TEST(LostWakeup, IsNotSuspectedForEverWhereServersWaitOnPurpose) {
  constexpr int kRounds = 300;
  Server server = Server::evenkeel({}, stuck_command());
  Client parked(server.port());
  Client waker(server.port());
  for (int i = 0; i < kRounds; ++i) {
    parked.send("park");
    ASSERT_EQ(waker.ask("what"), "what?");
    ASSERT_EQ(waker.ask("wake"), "ok");
    // The request may have arrived after the wake-up: then it waits for the next one.
    for (auto woken = parked.answer(100); woken != "woken"; woken = parked.answer(100)) {
      ASSERT_EQ(waker.ask("wake"), "ok");
    }
  }
  const auto status = server.status();
  EXPECT_GE(status.at("suspected_waits"), 1);
  EXPECT_LE(status.at("suspected_waits"), 12);
  EXPECT_EQ(status.at("lost_wakeups"), 0);
  EXPECT_EQ(status.at("faults"), 0);
  EXPECT_TRUE(reports_of(server, "LOST WAKE-UP").empty());
}

void join_without_divergence(size_t clients) {
  constexpr int kRounds = 1000;
  Server server = Server::evenkeel({}, stuck_command());
  std::vector<Client> all;
  for (size_t i = 0; i < clients; ++i) all.emplace_back(server.port());
  for (int i = 0; i < kRounds; ++i) {
    for (const Client& client : all) client.send("join 8");
    for (Client& client : all) ASSERT_EQ(client.answer(), "joined");
  }
  const auto status = server.status();
  EXPECT_GE(status.at("batches"), kRounds);
  EXPECT_EQ(status.at("divergences"), 0);
  EXPECT_EQ(status.at("faults"), 0);
  EXPECT_EQ(status.at("leaks"), 0);
}

// Whether a thread has ended before it is joined, or after, is no difference between replicas.
TEST(Join, OfThreadsThatEndMeanwhileIsNoDivergence) { join_without_divergence(1); }

// Nor is who of several came first to libc's list of stacks.
TEST(Join, BySeveralAtOnceIsNoDivergence) { join_without_divergence(3); }

}  // namespace
}  // namespace evenkeel::test
