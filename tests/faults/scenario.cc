#include "tests/faults/scenario.h"

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "tests/support/memcache_client.h"

namespace evenkeel::test {
namespace {

constexpr Seconds kStartPatience{10};
constexpr Seconds kEndPatience{10};
constexpr std::chrono::seconds kScenarioBound{30};  // ordinarily 0.1 to 2 s
// Below both, so that the coordinator's own remedy for hangs is part of what is tested.
constexpr const char* kHangTimeout = "4";  // seconds

// One request and its answer.
void ask(MemcacheClient& client, const std::string& request, const std::string& expected,
         Seen& seen) {
  client.send(request);
  const std::string answer = client.receive(expected.size());
  if (answer != expected && seen.wrong.empty()) {
    seen.wrong = request.substr(0, 40) + " -> " + answer.substr(0, 80);
  }
}

// Returns when the server has answered once. While it starts, and perhaps starts again, connections
// are refused or cut.
void await_service(uint16_t port, Process& server) {
  const auto deadline = std::chrono::steady_clock::now() + kStartPatience;
  for (;;) {
    wait_for_port(port, server, kStartPatience);
    try {
      MemcacheClient client(port);
      client.send("delete nothing\r\n");
      client.receive_until("NOT_FOUND\r\n");
      return;
    } catch (const std::exception&) {
      if (std::chrono::steady_clock::now() > deadline) throw;
    }
  }
}

// Enough to wake every thread, to allocate, to free, and to be several batches.
void converse(uint16_t port, Seen& seen) {
  constexpr int kClients = 3;
  constexpr int kRounds = 4;
  const std::string large(60'000, 'v');
  std::vector<MemcacheClient> clients;
  for (int i = 0; i < kClients; ++i) clients.emplace_back(port);
  ask(clients[0], "set n 0 0 1\r\n0\r\n", "STORED\r\n", seen);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kClients; ++i) {
      const std::string key = "k" + std::to_string(i);
      MemcacheClient& client = clients[static_cast<size_t>(i)];
      ask(client, "set " + key + " 0 0 60000\r\n" + large + "\r\n", "STORED\r\n", seen);
      ask(client, "get " + key + "\r\n", "VALUE " + key + " 0 60000\r\n" + large + "\r\nEND\r\n",
          seen);
      ask(client, "incr n 1\r\n", std::to_string(round * kClients + i + 1) + "\r\n", seen);
      ask(client, "delete " + key + "\r\n", "DELETED\r\n", seen);
      ask(client, "get " + key + "\r\n", "END\r\n", seen);
    }
  }
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Play {
 public:
  Play(const Scenario& scenario, Interceptor& interceptor, Seen& seen)
      : scenario_(scenario), interceptor_(interceptor), seen_(seen) {}

  void operator()() {
    Process server(words(), environment());
    try {
      use(server);
      seen_.complete = true;
    } catch (const std::exception& trouble) {
      seen_.trouble = trouble.what();
    }
    try {
      seen_.ending = server.wait(kEndPatience);
    } catch (const std::exception& trouble) {
      seen_.in_time = false;
      seen_.trouble = trouble.what();
    }
    // A test program says on stdout what it found wrong.
    if (seen_.ending.status > 0 && scenario_.kind == Kind::kProgram) seen_.messages = server.out();
    seen_.messages += server.err() + read_text(state_.path() / kName / "daemon.log");
  }

 private:
  static constexpr const char* kName = "faulty";

  [[nodiscard]] Words words() const {
    Words words;
    if (!scenario_.preload) {
      words = {evenkeel_path(), "run"};
      words.insert(words.end(), scenario_.options.begin(), scenario_.options.end());
      words.emplace_back("--");
    }
    for (const std::string& word : scenario_.command) {
      words.push_back(word == "{port}"      ? std::to_string(port_)
                      : word == "{pidfile}" ? pid_file().string()
                                            : word);
    }
    return words;
  }
  [[nodiscard]] Environment environment() const {
    Environment variables{{"EVENKEEL_STATE_DIR", state_.path()},
                          {"EVENKEEL_NAME", kName},
                          {"EVENKEEL_HANG_TIMEOUT", kHangTimeout}};
    if (scenario_.preload) variables["LD_PRELOAD"] = EVENKEEL_LIB_DIR "/libevenkeel.so";
    return variables;
  }
  [[nodiscard]] std::filesystem::path pid_file() const { return state_.path() / "pid"; }

  void use(Process& server) {
    switch (scenario_.kind) {
      case Kind::kProgram:
        server.wait(kStartPatience);
        return;
      case Kind::kDaemon:
        server.wait(kStartPatience);
        break;
      case Kind::kService:
        await_service(port_, server);
        break;
    }
    interceptor_.enter(Phase::kServing);
    const Stop stop{*this, server};
    converse(port_, seen_);
    const Finished status = run_to_end(
        {evenkeel_path(), "status", "--state-dir", state_.path(), "--name", kName, "--json"});
    seen_.status = nlohmann::json::parse(status.out, nullptr, false);
  }

  // Ends the server, whatever came before.
  struct Stop {
    const Play& play;
    const Process& server;
    ~Stop() {
      if (play.scenario_.kind != Kind::kDaemon) {
        server.signal(SIGTERM);
        return;
      }
      // By program, not by its pid file, which may be what could not be written.
      for (const pid_t pid : descendants(getpid())) {
        std::error_code gone;
        const auto program =
            std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", gone);
        if (program == evenkeel_path()) kill(pid, SIGTERM);
      }
    }
  };

  const Scenario& scenario_;
  Interceptor& interceptor_;
  Seen& seen_;
  TemporaryDirectory state_;
  uint16_t port_ = free_port();
};

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// The line that tells most: what a replica died of, else the first.
std::string telling_line(const std::string& messages) {
  const size_t fatal = messages.find("FATAL evenkeel: ");
  const size_t begin = fatal == std::string::npos ? 0 : fatal;
  return messages.substr(begin, messages.find('\n', begin) - begin);
}

std::string describe(const Ending& ending) {
  return ending.signal != 0 ? "signal " + std::to_string(ending.signal)
                            : "status " + std::to_string(ending.status);
}

// A replica that dies says why, and not only that it did.
bool died_silently(const std::string& messages) {
  const std::string line = telling_line(messages);
  const bool died = contains(messages, "going on with") || contains(messages, "FATAL evenkeel: ");
  return died && (!line.starts_with("FATAL evenkeel: ") || contains(line, "inside the runtime"));
}

std::string repaired(const nlohmann::json& status) {
  std::string text;
  for (const char* key : {"divergences", "faults", "leaks"}) {
    const int count = status.is_object() ? status.value(key, 0) : 0;
    if (count != 0) text += std::string(" ") + key + "=" + std::to_string(count);
  }
  return text;
}

}  // namespace

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

Seen play(const Scenario& scenario, const Library& library, std::optional<Refused> refused) {
  Seen seen;
  Interceptor interceptor(library, std::move(refused));
  Play body(scenario, interceptor, seen);
  seen.in_time = interceptor.run([&body] { body(); }, kScenarioBound) && seen.in_time;
  seen.refusals = interceptor.refusals();
  seen.calls = interceptor.counts();
  return seen;
}

Verdict judge(const Seen& seen) {
  const std::string line = telling_line(seen.messages);
  if (!seen.in_time) return {false, "HANG: " + seen.trouble + " " + line};
  if (!seen.wrong.empty()) return {false, "WRONG ANSWER: " + seen.wrong};
  if (died_silently(seen.messages)) return {false, "DIED SILENTLY: " + seen.messages};
  if (seen.complete && seen.ending == Ending{.status = 0}) {
    const std::string what = seen.messages.empty() ? "works" : "goes on: " + line;
    return {true, what + repaired(seen.status)};
  }
  const std::string what = describe(seen.ending) + ": ";
  if (seen.ending == Ending{.status = 0}) return {false, "FALSE SUCCESS: " + seen.trouble};
  if (seen.messages.empty()) return {false, "NO MESSAGE: " + what + seen.trouble};
  return {true, "ends, " + what + line};
}

}  // namespace evenkeel::test
