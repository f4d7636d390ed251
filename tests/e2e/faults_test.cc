// Crashes and hangs, of one interleaving and of the server itself, as its clients see them.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/e2e/scale.h"
#include "tests/support/memcache_client.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;

Words faulty(const Words& extra = {}) {
  Words words{EVENKEEL_BIN_DIR "/e2e_faulty_server", "{port}"};
  words.insert(words.end(), extra.begin(), extra.end());
  return words;
}

class Client {
 public:
  explicit Client(const Server& server) : connection_(server.port()) {}
  std::string ask(const std::string& line) {
    connection_.send(line + "\n");
    std::string answer = connection_.receive_until("\n");
    answer.pop_back();
    return answer;
  }
  // True if the server answered by closing or resetting the connection.
  bool is_cut_off_by(const std::string& line) {
    connection_.send(line + "\n");
    try {
      return connection_.receive_until_closed().empty();
    } catch (const std::runtime_error& error) {
      return std::string(error.what()).find("reset") != std::string::npos;
    }
  }

 private:
  MemcacheClient connection_;
};

struct Poison {
  const char* line;
  int signal;  // of the bare server's death
};
constexpr Poison kPoisons[] = {
    {"segv", SIGSEGV},     {"jump", SIGSEGV},       {"fpe", SIGFPE},       {"ill", SIGILL},
    {"abort", SIGABRT},    {"throw", SIGABRT},      {"smash", SIGABRT},    {"overflow", SIGSEGV},
    {"locknull", SIGSEGV}, {"doublefree", SIGABRT}, {"wildfree", SIGABRT}, {"raise", SIGSEGV}};

void expect_drop(Server& server, const char* line) {
  SCOPED_TRACE(line);
  Client good(server);
  const long before = std::stol(good.ask("add"));
  EXPECT_TRUE(Client(server).is_cut_off_by(line));
  EXPECT_EQ(std::stol(good.ask("add")), before + 1)
      << "what the input did before it crashed stayed";
  EXPECT_EQ(std::stol(Client(server).ask("add")), before + 2);
}

TEST(Faults, EveryKindOfCrashCostsItsClientOnly) {
  for (const char* replicas : {"1", "2"}) {
    Server server = Server::evenkeel({"--replicas", replicas}, faulty());
    for (const Poison& poison : kPoisons) expect_drop(server, poison.line);
    const auto status = server.status();
    EXPECT_EQ(status.at("poisoned_inputs"), std::size(kPoisons));
    EXPECT_EQ(status.at("faults"), std::size(kPoisons));
    EXPECT_EQ(status.at("replicas_live"), std::stoi(replicas));
    EXPECT_EQ(status.at("leaks"), 0);
    EXPECT_EQ(server.stop(), (Ending{.signal = SIGTERM}));
  }
}

TEST(Faults, WithOnPoisonCrashTheServerEndsAsTheBareOneDoes) {
  for (const Poison& poison : {kPoisons[0], kPoisons[4], kPoisons[7], kPoisons[9]}) {
    SCOPED_TRACE(poison.line);
    Server native = Server::native(faulty());
    EXPECT_TRUE(Client(native).is_cut_off_by(poison.line));
    EXPECT_EQ(native.process().wait(), (Ending{.signal = poison.signal}));
    Server server = Server::evenkeel({"--on-poison", "crash"}, faulty());
    EXPECT_TRUE(Client(server).is_cut_off_by(poison.line));
    EXPECT_EQ(server.process().wait(), (Ending{.signal = poison.signal}));
    const Finished list = run_to_end({evenkeel_path(), "report", "list", "--state-dir",
                                      server.state_dir(), "--name", server.name()});
    EXPECT_NE(list.out.find("fault"), std::string::npos) << list.out;
  }
}

// Where core files go and how large they may be is inherited by the server.
class CoreFiles {
 public:
  CoreFiles() : old_directory_(fs::current_path()) {
    ::getrlimit(RLIMIT_CORE, &old_limit_);
    const rlimit wanted{old_limit_.rlim_max, old_limit_.rlim_max};
    ::setrlimit(RLIMIT_CORE, &wanted);
    fs::current_path(directory_.path());
  }
  ~CoreFiles() {
    fs::current_path(old_directory_);
    ::setrlimit(RLIMIT_CORE, &old_limit_);
  }
  CoreFiles(const CoreFiles&) = delete;
  CoreFiles& operator=(const CoreFiles&) = delete;

  [[nodiscard]] std::vector<fs::path> found() const {
    return {fs::directory_iterator(directory_.path()), fs::directory_iterator()};
  }
  // The kernel keeps them for itself, or the limit on them cannot be raised.
  static bool refused() {
    std::string pattern;
    std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0 || pattern.empty() || pattern[0] == '|' || pattern[0] == '/';
  }

 private:
  TemporaryDirectory directory_;
  fs::path old_directory_;
  rlimit old_limit_{};
};

// The bytes that an ELF core file claims to have, from its program headers.
uint64_t claimed_bytes(const fs::path& core) {
  std::ifstream file(core, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  file.seekg(static_cast<std::streamoff>(header.e_phoff));
  uint64_t bytes = 0;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    file.read(reinterpret_cast<char*>(&part), sizeof part);
    bytes = std::max(bytes, part.p_offset + part.p_filesz);
  }
  return bytes;
}

TEST(Faults, WithOnPoisonCrashThereIsOneWholeCoreFile) {
  if (CoreFiles::refused()) GTEST_SKIP() << "core files do not go to the working directory here";
  const CoreFiles files;
  Server server = Server::evenkeel({"--on-poison", "crash"}, faulty());
  EXPECT_TRUE(Client(server).is_cut_off_by("segv"));
  EXPECT_EQ(server.process().wait(), (Ending{.signal = SIGSEGV}));
  const auto found = files.found();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(fs::file_size(found[0]), claimed_bytes(found[0]));
  EXPECT_LT(fs::file_size(found[0]), uint64_t{1} << 30) << "what lies in reserve is in it";
}

TEST(Faults, HandlersThatMeanToGoOnDo) {
  for (const auto& options : {Words{}, Words{"--tracker", "mprotect"}}) {
    Server server = Server::evenkeel(options, faulty({"--handlers"}));
    Client client(server);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(client.ask("probe"), "caught");
    EXPECT_EQ(server.status().at("faults"), 0);
    EXPECT_EQ(server.status().at("divergences"), 0);
  }
}

TEST(Faults, HandlersThatEndTheProcessDoNotHideTheFault) {
  Server server = Server::evenkeel({}, faulty({"--handlers"}));
  for (const char* line : {"segv", "fpe", "abort"}) expect_drop(server, line);
  EXPECT_EQ(server.status().at("poisoned_inputs"), 3);
  EXPECT_EQ(server.process().err().find("last words"), std::string::npos);
}

TEST(Faults, TooMuchPoisonEndsTheServer) {
  Server server = Server::evenkeel({"--poison-limit", "2"}, faulty());
  for (int i = 0; i < 2; ++i) expect_drop(server, "segv");
  EXPECT_TRUE(Client(server).is_cut_off_by("segv"));
  EXPECT_EQ(server.process().wait(), (Ending{.signal = SIGSEGV}));
  EXPECT_NE(server.process().err().find("--poison-limit"), std::string::npos);
}

TEST(Faults, AnEndlessLoopCostsItsClientOnly) {
  Server server = Server::evenkeel({"--hang-timeout", "1"}, faulty());
  expect_drop(server, "spin");
  const auto status = server.status();
  EXPECT_EQ(status.at("poisoned_inputs"), 1);
  EXPECT_EQ(status.at("replicas_live"), 2);
  const Finished report = run_to_end({evenkeel_path(), "report", "list", "--state-dir",
                                      server.state_dir(), "--name", server.name()});
  EXPECT_NE(report.out.find("hang"), std::string::npos) << report.out;
}

// It takes longer than the limit, but it is no hang.
TEST(Faults, ALongComputationGetsItsTime) {
  Server server = Server::evenkeel({"--hang-timeout", "1"}, faulty());
  Client client(server);
  const std::string steps = std::to_string(1'000'000'000UL);
  EXPECT_EQ(client.ask("compute " + steps).size(), 3U);
  EXPECT_EQ(server.status().at("poisoned_inputs"), 0);
}

TEST(Faults, AThreadThatSpinsLetsOthersRun) {
  for (const auto& options : {Words{}, Words{"--mode", "sequential"}, Words{"--carriers", "1"}}) {
    Server server = Server::evenkeel(options, faulty());
    Client client(server);
    EXPECT_EQ(client.ask("spinwait"), "done");
    EXPECT_EQ(server.status().at("poisoned_inputs"), 0);
  }
}

// A crash in one replica only, at random: nobody notices.
TEST(Faults, InjectedCrashesOfMemcachedAreMasked) {
  const uint64_t requests = scale("EVENKEEL_TEST_REQUESTS", 60'000);
  for (const char* replicas : {"2", "1"}) {
    Server server =
        Server::evenkeel({"--inject-crash", "10", "--replicas", replicas}, memcached_command());
    EXPECT_EQ(run_load(server.port(), {"--requests", std::to_string(requests), "--write-fraction",
                                       "0.1", "--connections", "20"})
                  .status,
              0);
    const auto status = server.status();
    EXPECT_GE(status.at("faults"), 20);
    EXPECT_EQ(status.at("replicas_live"), std::stoi(replicas));
    EXPECT_EQ(status.at("leaks"), 0);
    EXPECT_EQ(status.at("poisoned_inputs"), 0);
  }
}

}  // namespace
}  // namespace evenkeel::test
