// Diagnosis beside the service, and replay of what it stores.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/host/report.pb.h"
#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;
namespace record = evenkeel::record;

constexpr size_t kReportHeaderBytes = 56;  // runtime/host/report_file.h

const Words kHotCounter{"--shared", "--counters",      "1",   "--keys",
                        "1",        "--incr-fraction", "0.4", "--write-fraction",
                        "0.3",      "--requests",      "5000"};

record::Report read_report(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  record::Report report;
  if (text.size() > kReportHeaderBytes) report.ParseFromString(text.substr(kReportHeaderBytes));
  return report;
}

fs::path reports_of(const Server& server) {
  return fs::path(server.state_dir()) / server.name() / "reports";
}

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{20};
constexpr Seconds kOneDiagnosis{10};  // it is nice: whoever waits for it must not be busy

// The first report whose race was seen again, if one comes before `deadline`.
record::Report await_diagnosis(const Server& server, Clock::time_point deadline) {
  for (; Clock::now() < deadline; std::this_thread::sleep_for(kLook)) {
    for (const auto& entry : fs::directory_iterator(reports_of(server))) {
      if (entry.path().extension() != ".report") continue;
      record::Report report = read_report(entry.path());
      if (report.diagnosis().repeated_race()) return report;
    }
  }
  return {};
}

// A race need not strike in one load, nor strike again in one diagnosis.
record::Report provoke_diagnosis(const Server& server) {
  const auto end = Clock::now() + kPatience;
  record::Report report;
  while (!report.diagnosis().repeated_race() && Clock::now() < end) {
    const LoadResult load = run_load(server.port(), kHotCounter);
    EXPECT_EQ(load.status, 0) << load.complaints;
    report = await_diagnosis(server, std::min(end, Clock::now() + kOneDiagnosis));
  }
  return report;
}

Finished replay(const std::string& bundle, const Words& options) {
  Words words{evenkeel_path(), "replay", bundle};
  words.insert(words.end(), options.begin(), options.end());
  return run_to_end(words);
}

class Diagnosis : public testing::Test {
 protected:
  // A bundle of a race that was seen again.
  void SetUp() override {
    server_ = std::make_unique<Server>(
        Server::evenkeel({}, kvstore_command({"--bug", "lost-update", "--buckets", "16"})));
    report_ = provoke_diagnosis(*server_);
    ASSERT_FALSE(report_.diagnosis().bundle().empty()) << server_->process().err();
    bundle_ = reports_of(*server_) / report_.diagnosis().bundle();
  }

  std::unique_ptr<Server> server_;
  record::Report report_;
  fs::path bundle_;
};

TEST_F(Diagnosis, NamesTheCodeThatRaced) {
  const record::Diagnosis& found = report_.diagnosis();
  for (const record::Frame& site : {found.first_site(), found.second_site()}) {
    EXPECT_NE(site.symbol().find("_number"), std::string::npos) << site.ShortDebugString();
    EXPECT_TRUE(site.module().ends_with("/kvstore")) << site.ShortDebugString();
  }
  ASSERT_GT(found.writes_size(), 0);
  bool called_by_increment = false;
  for (const record::Write& write : found.writes()) {
    for (const record::Frame& frame : write.stack().frames()) {
      called_by_increment |= frame.symbol().find("::increment") != std::string::npos;
    }
  }
  EXPECT_TRUE(called_by_increment);
}

TEST_F(Diagnosis, ReplayDivergesAgain) {
  const Finished recorded = replay(bundle_, {"--times", "50"});
  EXPECT_EQ(recorded.ending, (Ending{.status = 0})) << recorded.err;
  EXPECT_NE(recorded.out.find(" of 50\n"), std::string::npos) << recorded.out;
  EXPECT_EQ(recorded.out.find("diverged 0 of"), std::string::npos) << recorded.out;
}

TEST_F(Diagnosis, SequentialReplayReachesTheAgreedState) {
  const Finished sequential = replay(bundle_, {"--schedule", "sequential"});
  EXPECT_EQ(sequential.out, "execution 1: exactly the state that was agreed\ndiverged 0 of 1\n")
      << sequential.err;
}

TEST_F(Diagnosis, TruncatedAndForeignBundlesAreRefused) {
  const fs::path cut = reports_of(*server_) / "cut.bundle";
  fs::copy_file(bundle_, cut);
  fs::resize_file(cut, fs::file_size(cut) / 2);
  const Finished truncated = replay(cut, {});
  EXPECT_EQ(truncated.ending, (Ending{.status = 2}));
  EXPECT_NE(truncated.err.find("is truncated or damaged"), std::string::npos) << truncated.err;

  const fs::path foreign = reports_of(*server_) / "foreign.bundle";
  std::ofstream(foreign) << std::string(4096, 'x');
  const Finished other = replay(foreign, {});
  EXPECT_EQ(other.ending, (Ending{.status = 2}));
  EXPECT_NE(other.err.find("is not a bundle"), std::string::npos) << other.err;
}

TEST_F(Diagnosis, DebuggerStopsAtTheRacedBytes) {
  const fs::path exported = reports_of(*server_) / "exported.bundle";
  const Finished written =
      run_to_end({evenkeel_path(), "report", "export", report_.id(), "--state-dir",
                  server_->state_dir(), "--name", server_->name(), "-o", exported.string()});
  ASSERT_EQ(written.ending, (Ending{.status = 0})) << written.err;
  const Words command{evenkeel_path(), "replay", exported.string(), "--gdb"};
  const Finished without = run_to_end(command, {{"PATH", server_->state_dir()}});
  EXPECT_EQ(without.ending, (Ending{.status = 1}));
  EXPECT_NE(without.err.find("apt install gdb"), std::string::npos) << without.err;
  if (std::system("gdb --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "needs gdb";
  const Finished debugged = run_to_end(command);  // its input has ended: it leaves where it stops
  EXPECT_EQ(debugged.ending, (Ending{.status = 0})) << debugged.err;
  EXPECT_NE(debugged.out.find("Old value"), std::string::npos) << debugged.out << debugged.err;
  EXPECT_NE(debugged.out.find(" of 1\n"), std::string::npos) << debugged.out;
}

TEST(DiagnosisOff, LeavesNoBundle) {
  Server server = Server::evenkeel({"--diagnose-limit", "0"},
                                   kvstore_command({"--bug", "lost-update", "--buckets", "16"}));
  const auto deadline = Clock::now() + kPatience;
  do {
    run_load(server.port(), kHotCounter);
  } while (server.status().at("divergences") == 0 && Clock::now() < deadline);
  EXPECT_GT(server.status().at("divergences"), 0);
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
  for (const auto& entry : fs::directory_iterator(reports_of(server))) {
    EXPECT_NE(entry.path().extension(), ".bundle") << entry.path();
  }
}

// Whoever ends the process that diagnoses does not touch the service.
TEST(DiagnosisKilled, ServiceGoesOn) {
  Server server =
      Server::evenkeel({}, kvstore_command({"--bug", "lost-update", "--buckets", "16"}));
  std::vector<pid_t> before = descendants(server.process().pid());
  std::sort(before.begin(), before.end());
  std::atomic<bool> enough = false;
  std::thread load_thread([&] {
    while (!enough) {
      const LoadResult load = run_load(server.port(), kHotCounter);
      EXPECT_EQ(load.status, 0) << load.complaints;
    }
  });
  uint32_t killed = 0;
  const auto deadline = Clock::now() + kPatience;
  while (killed < 3 && Clock::now() < deadline) {
    for (const pid_t pid : descendants(server.process().pid())) {
      if (std::binary_search(before.begin(), before.end(), pid)) continue;
      if (::kill(pid, SIGKILL) == 0) ++killed;
    }
  }
  enough = true;
  load_thread.join();
  EXPECT_GT(killed, 0);
  EXPECT_EQ(server.status().at("replicas_live"), 2);
  EXPECT_EQ(server.status().at("leaks"), 0);
  EXPECT_EQ(server.stop(), (Ending{.status = 0}));
}

}  // namespace
}  // namespace evenkeel::test
